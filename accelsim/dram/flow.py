"""The memory that answers in bursts: channels, ways, a refresh duty, an optional cache; compiled.

`accelsim.engine` calls four verbs: `has_room`, `accept`, `next_return`, `take_return`. A memory never
says when a burst will be done; it gives bursts back when they are due. Rules: `docs/engine.md`, Memory.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelsim.compiled import inlined
from accelsim.dram.device import Ticks

NEVER = np.iinfo(np.int64).max

READS, WRITES, HITS = 0, 1, 2


class Flow(NamedTuple):
    """State of all channels. `returns` and `owners` are one binary heap per channel, by cycle."""

    ticks: Ticks
    way_free: npt.NDArray[np.int64]
    slice_free: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    line_done: npt.NDArray[np.int64]
    outstanding: npt.NDArray[np.int64]
    returns: npt.NDArray[np.int64]
    owners: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]


def flow(ticks: Ticks) -> Flow:
    """An idle memory."""
    cached = (ticks.channels, ticks.sets, ticks.assoc)
    pending = (ticks.channels, ticks.outstanding)
    return Flow(
        ticks=ticks,
        way_free=np.zeros((ticks.channels, ticks.ways), np.int64),
        slice_free=np.zeros(ticks.channels, np.int64),
        lines=np.full(cached, -1, np.int64),
        line_done=np.zeros(cached, np.int64),
        outstanding=np.zeros(ticks.channels, np.int64),
        returns=np.zeros(pending, np.int64),
        owners=np.zeros(pending, np.int64),
        counts=np.zeros(3, np.int64),
    )


@inlined
def has_room(memory, channel):
    """May this channel accept one more burst?"""
    return memory.outstanding[channel] < memory.ticks.outstanding


@inlined
def next_return(memory, channel):
    """First cycle in which a burst of this channel is due."""
    if memory.outstanding[channel] == 0:
        return NEVER
    return memory.returns[channel, 0]


@inlined
def accept(memory, channel, cycle, address, write, owner):
    """Take a burst in this cycle; it comes back later as `owner`."""
    t = memory.ticks
    local = address // (t.interleave * t.channels) * t.interleave + address % t.interleave
    line = local // t.burst_bytes
    now = cycle * t.ticks
    if t.sets > 0:
        now = max(now, memory.slice_free[channel])
        memory.slice_free[channel] = now + t.cache_service
    place = -1
    if t.sets > 0 and not write:
        place = _find(memory, channel, line)
    if place >= 0:
        filled = memory.line_done[channel, line % t.sets, place]
        done = max(now + t.cache_service + t.cache_latency, filled)
        _touch(memory, channel, line, place, filled)
        memory.counts[HITS] += 1
    else:
        begin = _after_refresh(max(now, memory.way_free[channel, line % t.ways]), t)
        memory.way_free[channel, line % t.ways] = begin + t.service
        done = begin + t.service + t.latency
        if t.sets > 0 and not write:
            _touch(memory, channel, line, t.assoc - 1, done)
        memory.counts[WRITES if write else READS] += 1
    _push_return(memory, channel, (done + t.ticks - 1) // t.ticks, owner)


@inlined
def _after_refresh(tick, t):
    """The tick itself, or the end of the refresh window that it falls into."""
    if t.refresh_interval == 0:
        return tick
    window = tick // t.refresh_interval * t.refresh_interval
    if window > 0 and tick < window + t.refresh_ticks:
        return window + t.refresh_ticks
    return tick


@inlined
def _find(memory, channel, line):
    """Place of a line in its set (0 is the most recent), or -1."""
    t = memory.ticks
    for place in range(t.assoc):
        if memory.lines[channel, line % t.sets, place] == line:
            return place
    return -1


@inlined
def _touch(memory, channel, line, place, done):
    """Make `line` the most recent of its set; what was at `place` is overwritten."""
    lines, line_done, row = memory.lines, memory.line_done, line % memory.ticks.sets
    for i in range(place, 0, -1):
        lines[channel, row, i] = lines[channel, row, i - 1]
        line_done[channel, row, i] = line_done[channel, row, i - 1]
    lines[channel, row, 0], line_done[channel, row, 0] = line, done


@inlined
def _push_return(memory, channel, cycle, owner):
    """Into the channel's heap, by cycle."""
    returns, owners = memory.returns, memory.owners
    i = memory.outstanding[channel]
    memory.outstanding[channel] += 1
    while i > 0 and returns[channel, (i - 1) // 2] > cycle:
        returns[channel, i] = returns[channel, (i - 1) // 2]
        owners[channel, i] = owners[channel, (i - 1) // 2]
        i = (i - 1) // 2
    returns[channel, i], owners[channel, i] = cycle, owner


@inlined
def take_return(memory, channel):
    """Give back the burst that was due first: its owner."""
    returns, owners = memory.returns, memory.owners
    first = owners[channel, 0]
    memory.outstanding[channel] -= 1
    last = memory.outstanding[channel]
    cycle, owner = returns[channel, last], owners[channel, last]
    i = 0
    while 2 * i + 1 < last:
        child = 2 * i + 1
        if child + 1 < last and returns[channel, child + 1] < returns[channel, child]:
            child += 1
        if returns[channel, child] >= cycle:
            break
        returns[channel, i] = returns[channel, child]
        owners[channel, i] = owners[channel, child]
        i = child
    returns[channel, i], owners[channel, i] = cycle, owner
    return first
