"""The memory's channels on a timeline: bytes moved over time, or every command.

Both come from the commands that the engine's controllers sent, in command clocks; a clock k lasts from
k - 1 to k, and becomes a time in cycles of the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from accelsim.dram import Memory
from accelsim.dram.banks import COMMANDS, READ_COMMAND, WRITE_COMMAND
from accelsim.plan import Integers

CLOCK, CHANNEL, COMMAND, RANK, BANK, PLACE = range(6)
MOST_BINS = 256
DIGITS = 3

Event = dict[str, Any]


def bandwidth(
    log: Integers, memory: Memory, clock_hz: float, shown: tuple[int, int], begin: int, room: int, pid: int
) -> Iterator[Event]:
    """A counter for each channel: 10^9 bytes a second read and written, in equal steps of the layer."""
    first, last = shown
    columns = log[(log[:, COMMAND] == READ_COMMAND) | (log[:, COMMAND] == WRITE_COMMAND)]
    channels = memory.dram.channels
    bins = int(min(MOST_BINS, max(1, room // channels), last - first))
    edges = np.linspace(first, last, bins + 1)
    place = np.searchsorted(edges, _cycles(columns[:, CLOCK] - 1, memory), "right") - 1
    inside = (place >= 0) & (place < bins)
    moved = np.zeros((channels, bins, 2))
    np.add.at(
        moved,
        (columns[inside, CHANNEL], place[inside], (columns[inside, COMMAND] == WRITE_COMMAND).astype(int)),
        memory.dram.burst_bytes,
    )
    rates = moved / (np.diff(edges)[None, :, None] / clock_hz) / 1e9
    for channel in range(channels):
        before = (-1.0, -1.0)
        for step in range(bins):
            now = round(float(rates[channel, step, 0]), DIGITS), round(float(rates[channel, step, 1]), DIGITS)
            if now != before:
                yield _counter(pid, channel, round(begin + float(edges[step]), DIGITS), *now)
            before = now
        yield _counter(pid, channel, begin + last, 0.0, 0.0)


def _counter(pid: int, channel: int, at: float, read: float, written: float) -> Event:
    return {
        "ph": "C",
        "pid": pid,
        "tid": 1,
        "ts": at,
        "name": f"channel {channel} GB/s",
        "args": {"read": read, "written": written},
    }


def commands(
    log: Integers, memory: Memory, clock_hz: float, shown: tuple[int, int], begin: int, room: int, pid: int
) -> Iterator[Event]:
    """Every command as a slice on a track of its channel and rank; columns are as long as their burst."""
    at = _cycles(log[:, CLOCK] - 1, memory)
    inside = np.flatnonzero((at >= shown[0]) & (at < shown[1]))
    inside = inside[np.lexsort((inside, at[inside]))]
    for count, row in enumerate(inside.tolist()):
        clock, channel, command, rank, bank, where = log[row].tolist()
        if count == room:
            yield {"ph": "i", "name": f"DRAM commands from cycle {begin + int(at[row]):,} on"}
            return
        column = command in (READ_COMMAND, WRITE_COMMAND)
        length = memory.dram.BL if column else 1
        start = round(begin + float(at[row]), DIGITS)
        stop = min(shown[1], float(_cycles(np.array([clock - 1 + length]), memory)[0]))
        stop = round(begin + stop, DIGITS)
        kind = "columns" if column else "rows"
        yield {
            "ph": "X",
            "pid": pid,
            "tid": 2 + 2 * (channel * memory.dram.units + rank) + (not column),
            "ts": start,
            "dur": round(stop - start, DIGITS),
            "name": COMMANDS[command],
            "cat": f"channel {channel} rank {rank} {kind}",
            "args": {"bank": bank, "column" if column else "row": where},
        }


def _cycles(clocks: Integers, memory: Memory) -> np.ndarray:
    """Ends of clocks as times in cycles."""
    ratio = memory.clocks
    return np.asarray(clocks * ratio.denominator / ratio.numerator, np.float64)
