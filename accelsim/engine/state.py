"""What the compiled loop works on: the plan as arrays, who shares what, and all that changes.

A *station* is one stage of one lane, numbered lane * stages + stage. An *operation* is one job in one
stage, numbered job * stages + stage.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelsim.compiled import inlined
from accelsim.engine.heap import schedule

CAUSES = ("input", "after", "buffer", "unit", "upstream", "memory")
INPUT, AFTER, BUFFER, UNIT, UPSTREAM, MEMORY = range(6)

# Columns of `stations`: next job to start (or the one that holds the unit), whether it holds it, next job
# to end, end of the group, first cycle in which the job was next, on the worklist, and whether the
# station waits in its unit's list of candidates.
STATION_COLUMNS = 7
JOB, HOLDS, ENDING, LAST, KNOWN, LISTED, CANDIDATE = range(STATION_COLUMNS)

# Places of `counters`: how much of each list is in use, the next group, and the first cycle in which
# something is seen that a channel has settled.
COUNTERS = 10
WORK, TOUCHED, STARTED, DIRTY, GROUP, FREE_LANES, ENDED, CYCLES, FREE_NODE, SEEN = range(COUNTERS)

# Columns of `nodes`, the accesses that are queued or on their way, in linked lists: what is asked
# (line << 1 | write), or of an accepted one the clock before which it is not back; its operation; the next.
NODE_COLUMNS = 3
ACCESS, OPERATION, NEXT_NODE = range(NODE_COLUMNS)
NOT_BEFORE = ACCESS

I64 = npt.NDArray[np.int64]


class Rows(NamedTuple):
    """The plan: operations are numbered job * stages + stage; `*_begin` are offsets per operation."""

    stages: int
    busy: I64
    lag: I64
    drain: I64
    whole: npt.NDArray[np.bool_]
    skip: npt.NDArray[np.bool_]
    take: I64
    give: I64
    group_begin: I64
    run_begin: I64
    run_address: I64
    run_count: I64
    run_stride: I64
    after_begin: I64
    after_op: I64


class Wiring(NamedTuple):
    """Who shares what: instances of units, ports and buffers behind each station."""

    unit: I64
    unit_arbitrated: npt.NDArray[np.bool_]
    unit_begin: I64
    unit_rank: I64
    port: I64
    write: npt.NDArray[np.bool_]
    buffer: I64
    buffer_take: I64
    buffer_give: I64
    buffer_capacity: I64
    buffer_shared: npt.NDArray[np.bool_]
    buffer_unit_begin: I64
    buffer_unit: I64


class State(NamedTuple):
    """Everything that changes, except the memory.

    `first`, `accepted`, `back`: cycles in which the first access of an operation came back, the last was
    accepted, and the last came back. A channel may tell of them ahead of time.
    """

    start: I64
    free: I64
    end: I64
    first: I64
    unaccepted: I64
    accepted: I64
    pending: I64
    back: I64
    lane: I64
    stations: I64
    unit_holder: I64
    unit_dirty: npt.NDArray[np.bool_]
    candidates: I64
    candidate_count: I64
    used: I64
    used_before: I64
    used_changed: I64
    waiter: I64
    next_waiter: I64
    waits: npt.NDArray[np.bool_]
    counters: I64
    work: I64
    dirty: I64
    started: I64
    stalled: I64
    queue_head: I64
    queue_tail: I64
    offer_port: I64
    offer_since: I64
    offer_count: I64
    touched: I64
    touched_at: I64
    nodes: I64
    order: I64
    place: I64
    times: I64
    queued: I64


@inlined
def look_again(state, station):
    """Look at this station again in this cycle."""
    if not state.stations[station, LISTED]:
        state.stations[station, LISTED] = 1
        state.work[state.counters[WORK]] = station
        state.counters[WORK] += 1


@inlined
def look_later(state, which, time):
    """Look at a station, or at a channel (numbered behind the stations), again at that time."""
    schedule(state.order, state.place, state.times, state.queued, which, time)


@inlined
def touch(state, channel, cycle):
    """Let this channel act in this cycle."""
    if state.touched_at[channel] != cycle:
        state.touched_at[channel] = cycle
        state.touched[state.counters[TOUCHED]] = channel
        state.counters[TOUCHED] += 1


@inlined
def soil(state, unit):
    """Mark a unit for the grant step."""
    if not state.unit_dirty[unit]:
        state.unit_dirty[unit] = True
        state.dirty[state.counters[DIRTY]] = unit
        state.counters[DIRTY] += 1


@inlined
def stand(wiring, state, station):
    """Stand among the candidates of the station's unit."""
    unit = wiring.unit[station]
    state.stations[station, CANDIDATE] = 1
    state.candidates[wiring.unit_begin[unit] + state.candidate_count[unit]] = station
    state.candidate_count[unit] += 1
    soil(state, unit)


@inlined
def change(state, which, amount, cycle):
    """Change what a buffer holds; keep what it held at the end of the cycle before."""
    if state.used_changed[which] != cycle:
        state.used_changed[which] = cycle
        state.used_before[which] = state.used[which]
    state.used[which] += amount
