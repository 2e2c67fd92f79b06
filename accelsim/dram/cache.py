"""A cache in front of the channels, such as a GPU's L2: a slice for each, lines replaced least recently used.

A slice takes one access at a time. A read that finds its line is back after `hit_latency`; one that does
not asks DRAM for every burst of the line. A write goes to DRAM and leaves the lines alone. Rules:
`docs/engine.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelsim.compiled import inlined
from accelsim.dram.timing import Device

Integers = npt.NDArray[np.int64]

FINEST_TICK = 240  # most ticks to a clock: many divisors
# Columns of `lines` [channel, set, place]: the line, its open request or -1, the clock of its data
LINE, ASKED, FILLED = range(3)
# Columns of `asked` [channel, n]: bursts that DRAM has not sent, the last clock of those sent, the line (-1:
# a write), the accesses that wait for it (a list of the engine's nodes), and the next free row.
LEFT, LATEST, FOR_LINE, WAITERS, NEXT_FREE = range(5)


@dataclass(frozen=True, kw_only=True)
class Cache:
    """`bytes` over all channels in lines of `line_bytes`, `ways` to a set, `bandwidth` bytes a second in all.

    Seconds: `hit_latency` from acceptance to data, `miss_latency` from DRAM's data to the asker. At most
    `pending` accesses of a slice wait for DRAM.
    """

    bytes: int
    line_bytes: int
    ways: int
    bandwidth: float
    hit_latency: float
    miss_latency: float
    pending: int = 512
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("bytes", "line_bytes", "ways", "pending"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} of the cache must be >= 1, not {getattr(self, name)}")
        if not self.bandwidth > 0:
            raise ValueError(f"bandwidth of the cache must be > 0, not {self.bandwidth}")
        for name in ("hit_latency", "miss_latency"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} of the cache must be >= 0, not {getattr(self, name)}")


class Slices(NamedTuple):
    """State of all slices. `sets` is 0 without a cache; an access is then one burst and takes one clock.

    `ticks` to a clock, `service` ticks for an access, `hit_ticks` and `miss_clocks` for the latencies.
    """

    channels: int
    access_bits: int
    bursts: int
    ticks: int
    service: int
    sets: int
    ways: int
    hit_ticks: int
    miss_clocks: int
    pending: int
    lines: Integers
    asked: Integers
    free: Integers
    hits: Integers
    waiting: Integers


def slices(cache: Cache | None, device: Device) -> Slices:
    """An empty cache. Raises ValueError for one that the device cannot stand behind."""
    bursts, ticks, service, sets, ways, hit_ticks, miss_clocks, most = 1, 1, 1, 0, 1, 0, 0, 0
    if cache is not None:
        _check(cache, device)
        bursts, ways = cache.line_bytes // device.burst_bytes, cache.ways
        wanted = cache.line_bytes * device.channels * device.clock_hz / Fraction(cache.bandwidth)
        pace = max(wanted.limit_denominator(FINEST_TICK), Fraction(1, FINEST_TICK))
        ticks, service = pace.denominator, pace.numerator
        sets = cache.bytes // (cache.line_bytes * device.channels * ways)
        hit_ticks = round(Fraction(cache.hit_latency) * device.clock_hz * ticks)
        miss_clocks = round(Fraction(cache.miss_latency) * device.clock_hz)
        most = 2 * device.queue + device.banks_per_channel
    lines = np.zeros((device.channels, sets, ways, 3), np.int64)
    lines[..., (LINE, ASKED)] = -1
    asked = np.zeros((device.channels, most, 5), np.int64)
    asked[:, :, NEXT_FREE] = np.arange(1, most + 1)
    return Slices(
        channels=device.channels,
        access_bits=(bursts * device.burst_bytes).bit_length() - 1,
        bursts=bursts,
        ticks=ticks,
        service=service,
        sets=sets,
        ways=ways,
        hit_ticks=hit_ticks,
        miss_clocks=miss_clocks,
        pending=cache.pending if cache else 0,
        lines=lines,
        asked=asked,
        free=np.zeros(device.channels, np.int64),
        hits=np.zeros(device.channels, np.int64),
        waiting=np.zeros(device.channels, np.int64),
    )


def _check(cache: Cache, device: Device) -> None:
    bursts = cache.line_bytes // device.burst_bytes
    if cache.line_bytes % device.burst_bytes or bursts & bursts - 1 or not 1 <= bursts <= device.queue:
        raise ValueError(
            f"line_bytes of the cache must be a power of two of bursts of {device.burst_bytes} B that fits a "
            f"queue of {device.queue}, not {cache.line_bytes}"
        )
    if cache.line_bytes > max(device.interleave, device.burst_bytes):
        raise ValueError(
            f"dram.interleave must be >= the {cache.line_bytes} bytes of a line of the cache, "
            f"not {device.interleave}"
        )
    smallest = device.channels * cache.ways * cache.line_bytes
    if cache.bytes < smallest:
        raise ValueError(
            f"bytes of the cache must be >= {smallest} (a set in each channel), not {cache.bytes}"
        )


@inlined
def set_of(c, line):
    """The set of a line, in its channel."""
    return line // c.channels % c.sets


@inlined
def find(c, channel, line):
    """Place of a line in its set (0 is the most recent), or -1."""
    row = set_of(c, line)
    for place in range(c.ways):
        if c.lines[channel, row, place, LINE] == line:
            return place
    return -1


@inlined
def use(c, channel, line, place, asked, filled):
    """Make `line` the most recent of its set; what was at `place` is overwritten."""
    row = set_of(c, line)
    for i in range(place, 0, -1):
        for column in range(3):
            c.lines[channel, row, i, column] = c.lines[channel, row, i - 1, column]
    c.lines[channel, row, 0, LINE] = line
    c.lines[channel, row, 0, ASKED] = asked
    c.lines[channel, row, 0, FILLED] = filled


@inlined
def is_crowded(c, channel):
    """Do as many accesses of the slice wait for DRAM as may?"""
    return c.waiting[channel] >= c.pending


@inlined
def ask(c, channel, line):
    """Open a request for all bursts of an access; gives its row."""
    row = c.free[channel]
    c.free[channel] = c.asked[channel, row, NEXT_FREE]
    c.asked[channel, row, LEFT] = c.bursts
    c.asked[channel, row, LATEST] = 0
    c.asked[channel, row, FOR_LINE] = line
    c.asked[channel, row, WAITERS] = -1
    return row


@inlined
def fill(c, channel, row, done):
    """A burst is done: the clock in which the whole access is, or -1; then the row is free."""
    asked = c.asked
    asked[channel, row, LATEST] = max(asked[channel, row, LATEST], done)
    asked[channel, row, LEFT] -= 1
    if asked[channel, row, LEFT] > 0:
        return -1
    line, filled = asked[channel, row, FOR_LINE], asked[channel, row, LATEST]
    if line >= 0:
        filled += c.miss_clocks
        places = set_of(c, line)
        for place in range(c.ways):
            if c.lines[channel, places, place, ASKED] == row:
                c.lines[channel, places, place, ASKED] = -1
                c.lines[channel, places, place, FILLED] = filled
    asked[channel, row, NEXT_FREE] = c.free[channel]
    c.free[channel] = row
    return filled
