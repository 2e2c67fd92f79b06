"""The compiled loop of the cycle engine. `docs/engine.md` defines it, `accelsim.machine` wires it up.

A *station* is one stage of one lane. Whatever may have changed is put on a worklist (this cycle) or
into a heap of times (later cycles); a station is looked at only then. Nothing here is per cycle.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelsim.compiled import kernel
from accelsim.dram.flow import NEVER, accept, has_room, next_return, take_return
from accelsim.heap import schedule, take_first

INPUT, AFTER, BUFFER, UNIT, UPSTREAM, MEMORY = range(6)

# Columns of `stations`: next job to start (or the one that holds the unit), whether it holds it, next job
# to end, end of the group, first cycle in which the job was next, on the worklist, and whether the
# station waits in its unit's list of candidates.
JOB, HOLDS, ENDING, LAST, KNOWN, LISTED, CANDIDATE = range(7)

# Rows of `counters`: how much of each list is in use, and the next group.
WORK, TOUCHED, STARTED, DIRTY, GROUP, FREE_LANES, ENDED, CYCLES, FREE_NODE = range(9)

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
    unit_shared: npt.NDArray[np.bool_]
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
    """Everything that changes, except the memory."""

    start: I64
    free: I64
    end: I64
    first: I64
    unaccepted: I64
    pending: I64
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


@kernel
def advance(rows, wiring, memory, state, has_memory):
    """Run until nothing can happen any more."""
    counters, count = state.counters, state.stations.shape[0]
    cycle = 0
    while True:
        # 1. Returns: bursts that are due come back.
        for i in range(counters[TOUCHED]):
            _give_back(rows, memory, state, state.touched[i], cycle)
        # 2. to 4. Moves, lanes and grants, until nothing moves.
        moving = True
        while moving:
            while counters[WORK] > 0:
                counters[WORK] -= 1
                station = state.work[counters[WORK]]
                state.stations[station, LISTED] = 0
                wake = _move(rows, wiring, state, station, cycle, has_memory)
                if wake != NEVER:
                    _later(state, station, wake)
            moving = _fill_lane(rows, state, cycle) or _grant(rows, wiring, state, cycle, has_memory)
        # 5. Memory: what was started is offered, every channel accepts.
        if has_memory:
            _offer(rows, wiring, memory, state, cycle)
            for i in range(counters[TOUCHED]):
                channel = state.touched[i]
                _accept(rows, wiring, memory, state, channel, cycle)
                wake = next_return(memory, channel)
                if state.offer_count[channel] > 0 and has_room(memory, channel):
                    wake = cycle + 1
                if wake != NEVER:
                    _later(state, count + channel, wake)
        counters[TOUCHED] = 0
        # The next cycle in which anything can happen.
        if state.queued[0] == 0:
            return
        cycle = state.times[state.order[0]]
        while state.queued[0] > 0 and state.times[state.order[0]] == cycle:
            which = take_first(state.order, state.place, state.times, state.queued)
            if which < count:
                _list(state, which)
            else:
                _touch(state, which - count, cycle)


@kernel
def _later(state, which, time):
    """Look at a station, or at a channel (numbered behind the stations), again at that time."""
    schedule(state.order, state.place, state.times, state.queued, which, time)


@kernel
def _move(rows, wiring, state, station, cycle, has_memory):
    """Ends, frees and starts of one station, until it rests; returns when to look again."""
    stations, stages = state.stations, rows.stages
    stage = station % stages
    while True:
        wake = NEVER
        # End, in job order.
        job = stations[station, ENDING]
        if job < stations[station, LAST]:
            op = job * stages + stage
            if state.free[op] >= 0 and state.pending[op] == 0:
                due = state.free[op] if rows.skip[op] else state.free[op] + rows.drain[op]
                if due > cycle:
                    wake = due
                elif stage == 0 or state.end[op - 1] >= 0:
                    _end(rows, wiring, state, station, op, cycle)
                    continue
        # Free.
        job = stations[station, JOB]
        if job >= stations[station, LAST]:
            return wake
        op = job * stages + stage
        if stations[station, HOLDS]:
            due = state.start[op] + rows.busy[op]
            if due > cycle:
                return min(wake, due)
            if state.unaccepted[op] > 0 or (stage > 0 and state.end[op - 1] < 0):
                return wake
            _free(rows, wiring, state, station, op, cycle)
            continue
        # Start.
        due = _ready(rows, wiring, state, station, op, cycle)
        if due != cycle:
            return min(wake, due)
        if _arbitrated(rows, wiring, state, station, op):
            if not stations[station, CANDIDATE]:
                _stand(wiring, state, station)
            return wake
        if not _room(rows, wiring, state, station, job):
            return wake
        _start(rows, wiring, state, station, op, cycle, has_memory)


@kernel
def _ready(rows, wiring, state, station, op, cycle):
    """This cycle if order, input and after hold; a later one to look again; NEVER if something must end."""
    due = _input_cycle(rows, state, op)
    if due > cycle:
        return due
    if rows.after_op.size:
        if state.waits[station]:
            return NEVER
        for i in range(rows.after_begin[op], rows.after_begin[op + 1]):
            other = rows.after_op[i]
            if state.end[other] < 0:
                state.waits[station] = True
                state.next_waiter[station] = state.waiter[other]
                state.waiter[other] = station
                return NEVER
    return cycle


@kernel
def _input_cycle(rows, state, op):
    """Cycle in which the stage before is (or will be) far enough; NEVER if not known yet."""
    if op % rows.stages == 0:
        return 0
    before = op - 1
    if rows.whole[op]:
        return state.end[before] if state.end[before] >= 0 else NEVER
    if rows.skip[before]:
        return state.start[before] if state.start[before] >= 0 else NEVER
    began = state.start[before]
    if rows.run_begin[before + 1] > rows.run_begin[before]:
        began = state.first[before]
    return began + rows.lag[before] if began >= 0 else NEVER


@kernel
def _arbitrated(rows, wiring, state, station, op):
    """Must this start be granted?"""
    if not rows.skip[op]:
        return wiring.unit_shared[wiring.unit[station]]
    stage, job = op % rows.stages, op // rows.stages
    for b in range(wiring.buffer_take.size):
        if wiring.buffer_take[b] == stage and rows.take[job, b] > 0:
            if wiring.buffer_shared[wiring.buffer[station // rows.stages, b]]:
                return True
    return False


@kernel
def _room(rows, wiring, state, station, job):
    """Do the buffers that this station takes from have room for the job?"""
    lane, stage = station // rows.stages, station % rows.stages
    for b in range(wiring.buffer_take.size):
        if wiring.buffer_take[b] == stage and rows.take[job, b] > 0:
            if state.used[wiring.buffer[lane, b]] + rows.take[job, b] > wiring.buffer_capacity[b]:
                return False
    return True


@kernel
def _lacked_room(rows, wiring, state, station, job, cycle):
    """Was there no room at the end of the cycle before?"""
    lane, stage = station // rows.stages, station % rows.stages
    for b in range(wiring.buffer_take.size):
        if wiring.buffer_take[b] == stage and rows.take[job, b] > 0:
            which = wiring.buffer[lane, b]
            used = state.used_before[which] if state.used_changed[which] == cycle else state.used[which]
            if used + rows.take[job, b] > wiring.buffer_capacity[b]:
                return True
    return False


@kernel
def _start(rows, wiring, state, station, op, cycle, has_memory):
    """Take unit and buffers, book the wait, tell the next stage."""
    stations, stages = state.stations, rows.stages
    stage, job = op % stages, op // stages
    waited = cycle - stations[station, KNOWN]
    if waited > 0:
        cause = UNIT
        if _input_cycle(rows, state, op) == cycle:
            cause = INPUT
        elif _after_cycle(rows, state, op) == cycle:
            cause = AFTER
        elif _lacked_room(rows, wiring, state, station, job, cycle):
            cause = BUFFER
        state.stalled[stage, cause] += waited
    for b in range(wiring.buffer_take.size):
        if wiring.buffer_take[b] == stage and rows.take[job, b] > 0:
            _use(state, wiring.buffer[station // stages, b], rows.take[job, b], cycle)
    state.start[op] = cycle
    if rows.skip[op]:
        state.free[op] = cycle
        stations[station, JOB] = job + 1
        stations[station, KNOWN] = cycle
    else:
        stations[station, HOLDS] = 1
        state.unit_holder[wiring.unit[station]] = station
        if has_memory and rows.run_begin[op + 1] > rows.run_begin[op]:
            bursts = 0
            for run in range(rows.run_begin[op], rows.run_begin[op + 1]):
                bursts += rows.run_count[run]
            state.unaccepted[op] = bursts
            state.pending[op] = bursts
            state.started[state.counters[STARTED]] = station
            state.counters[STARTED] += 1
        else:
            state.first[op] = cycle
    if stage + 1 < stages:
        _list(state, station + 1)


@kernel
def _after_cycle(rows, state, op):
    """Cycle in which the last of the operations that this one waits for ended; -1 if there is none."""
    latest = -1
    if rows.after_op.size:
        for i in range(rows.after_begin[op], rows.after_begin[op + 1]):
            latest = max(latest, state.end[rows.after_op[i]])
    return latest


@kernel
def _free(rows, wiring, state, station, op, cycle):
    """Release the unit, book what was longer than `busy`."""
    stations, stage = state.stations, op % rows.stages
    state.free[op] = cycle
    stations[station, HOLDS] = 0
    stations[station, JOB] += 1
    stations[station, KNOWN] = cycle
    held = cycle - state.start[op] - rows.busy[op]
    if held > 0:
        upstream = stage > 0 and state.end[op - 1] == cycle
        state.stalled[stage, UPSTREAM if upstream else MEMORY] += held
    unit = wiring.unit[station]
    state.unit_holder[unit] = -1
    if wiring.unit_shared[unit]:
        _soil(state, unit)


@kernel
def _end(rows, wiring, state, station, op, cycle):
    """Give buffers back, wake whoever waited for this end."""
    stages = rows.stages
    stage, job, lane = op % stages, op // stages, station // stages
    state.end[op] = cycle
    state.stations[station, ENDING] += 1
    state.counters[ENDED] += 1
    state.counters[CYCLES] = cycle
    if stage + 1 == stages and job + 1 == state.stations[station, LAST]:
        state.counters[FREE_LANES] += 1
    for b in range(wiring.buffer_give.size):
        if wiring.buffer_give[b] == stage and rows.give[job, b] > 0:
            which = wiring.buffer[lane, b]
            _use(state, which, -rows.give[job, b], cycle)
            _list(state, lane * stages + wiring.buffer_take[b])
            for i in range(wiring.buffer_unit_begin[which], wiring.buffer_unit_begin[which + 1]):
                _soil(state, wiring.buffer_unit[i])
    if stage + 1 < stages:
        _list(state, station + 1)
    if rows.after_op.size:
        waiting = state.waiter[op]
        state.waiter[op] = -1
        while waiting >= 0:
            state.waits[waiting] = False
            _list(state, waiting)
            waiting = state.next_waiter[waiting]


@kernel
def _use(state, which, amount, cycle):
    """Change what a buffer holds; keep what it held at the end of the cycle before."""
    if state.used_changed[which] != cycle:
        state.used_changed[which] = cycle
        state.used_before[which] = state.used[which]
    state.used[which] += amount


@kernel
def _list(state, station):
    """Look at this station again in this cycle."""
    if not state.stations[station, LISTED]:
        state.stations[station, LISTED] = 1
        state.work[state.counters[WORK]] = station
        state.counters[WORK] += 1


@kernel
def _touch(state, channel, cycle):
    """Let this channel act in this cycle."""
    if state.touched_at[channel] != cycle:
        state.touched_at[channel] = cycle
        state.touched[state.counters[TOUCHED]] = channel
        state.counters[TOUCHED] += 1


@kernel
def _fill_lane(rows, state, cycle):
    """Give the next group to the lowest free lane. Returns whether one was given."""
    group = state.counters[GROUP]
    if group + 1 >= rows.group_begin.size or state.counters[FREE_LANES] == 0:
        return False
    state.counters[FREE_LANES] -= 1
    stations, stages = state.stations, rows.stages
    for lane in range(stations.shape[0] // stages):
        last = lane * stages + stages - 1
        if stations[last, ENDING] == stations[last, LAST]:
            begin, end = rows.group_begin[group], rows.group_begin[group + 1]
            state.lane[begin:end] = lane
            for station in range(lane * stages, last + 1):
                stations[station, JOB] = begin
                stations[station, ENDING] = begin
                stations[station, LAST] = end
                stations[station, KNOWN] = cycle
                _list(state, station)
            state.counters[GROUP] += 1
            return True
    return False


@kernel
def _stand(wiring, state, station):
    """Stand among the candidates of the station's unit."""
    unit = wiring.unit[station]
    state.stations[station, CANDIDATE] = 1
    state.candidates[wiring.unit_begin[unit] + state.candidate_count[unit]] = station
    state.candidate_count[unit] += 1
    _soil(state, unit)


@kernel
def _soil(state, unit):
    """Mark a unit for the grant step."""
    if not state.unit_dirty[unit]:
        state.unit_dirty[unit] = True
        state.dirty[state.counters[DIRTY]] = unit
        state.counters[DIRTY] += 1


@kernel
def _grant(rows, wiring, state, cycle, has_memory):
    """Start the best candidate of the lowest unit that can start one. Returns whether one was started."""
    while state.counters[DIRTY] > 0:
        lowest = 0
        for i in range(1, state.counters[DIRTY]):
            if state.dirty[i] < state.dirty[lowest]:
                lowest = i
        unit = state.dirty[lowest]
        begin = wiring.unit_begin[unit]
        best = -1
        for i in range(begin, begin + state.candidate_count[unit]):
            station = state.candidates[i]
            job = state.stations[station, JOB]
            skips = rows.skip[job * rows.stages + station % rows.stages]
            if (state.unit_holder[unit] < 0 or skips) and _room(rows, wiring, state, station, job):
                if best < 0 or wiring.unit_rank[station] < wiring.unit_rank[state.candidates[best]]:
                    best = i
        if best >= 0:
            station = state.candidates[best]
            state.candidate_count[unit] -= 1
            state.candidates[best] = state.candidates[begin + state.candidate_count[unit]]
            state.stations[station, CANDIDATE] = 0
            op = state.stations[station, JOB] * rows.stages + station % rows.stages
            _start(rows, wiring, state, station, op, cycle, has_memory)
            _list(state, station)
            return True
        state.unit_dirty[unit] = False
        state.counters[DIRTY] -= 1
        state.dirty[lowest] = state.dirty[state.counters[DIRTY]]
    return False


@kernel
def _give_back(rows, memory, state, channel, cycle):
    """Bursts of a channel that are due: first data and last data wake stations."""
    stages = rows.stages
    while next_return(memory, channel) <= cycle:
        op = take_return(memory, channel)
        station = state.lane[op // stages] * stages + op % stages
        state.pending[op] -= 1
        if state.first[op] < 0:
            state.first[op] = cycle
            if op % stages + 1 < stages:
                _list(state, station + 1)
        if state.pending[op] == 0:
            _list(state, station)


@kernel
def _offer(rows, wiring, memory, state, cycle):
    """Put the bursts of the operations that started in this cycle into the queues, by station."""
    started = state.started
    for i in range(state.counters[STARTED]):
        lowest = i
        for other in range(i + 1, state.counters[STARTED]):
            if started[other] < started[lowest]:
                lowest = other
        started[i], started[lowest] = started[lowest], started[i]
        station = started[i]
        op = state.stations[station, JOB] * rows.stages + station % rows.stages
        for run in range(rows.run_begin[op], rows.run_begin[op + 1]):
            address = rows.run_address[run]
            for _ in range(rows.run_count[run]):
                _enqueue(memory, state, wiring.port[station], op, address, cycle)
                address += rows.run_stride[run]
    state.counters[STARTED] = 0


@kernel
def _enqueue(memory, state, port, op, address, cycle):
    """Append one burst to its (port, channel) queue. A node is (address, operation, next)."""
    ticks, nodes = memory.ticks, state.nodes
    channel = address // ticks.interleave % ticks.channels
    node = state.counters[FREE_NODE]
    state.counters[FREE_NODE] = nodes[node, 2]
    nodes[node, 0], nodes[node, 1], nodes[node, 2] = address, op, -1
    if state.queue_head[channel, port] < 0:
        state.queue_head[channel, port] = node
        _present(state, channel, port, cycle * ticks.accepts)
        _touch(state, channel, cycle)
    else:
        nodes[state.queue_tail[channel, port], 2] = node
    state.queue_tail[channel, port] = node


@kernel
def _present(state, channel, port, since):
    """A queue's head goes on offer: behind everything older, in port order among equals."""
    ports, times = state.offer_port, state.offer_since
    i = state.offer_count[channel]
    while i > 0 and (
        times[channel, i - 1] > since
        or (times[channel, i - 1] == since and ports[channel, i - 1] > port)
    ):
        ports[channel, i], times[channel, i] = ports[channel, i - 1], times[channel, i - 1]
        i -= 1
    ports[channel, i], times[channel, i] = port, since
    state.offer_count[channel] += 1


@kernel
def _accept(rows, wiring, memory, state, channel, cycle):
    """The rounds of one channel in one cycle."""
    stages, accepts, nodes = rows.stages, memory.ticks.accepts, state.nodes
    ports, times = state.offer_port, state.offer_since
    for turn in range(cycle * accepts, (cycle + 1) * accepts):
        if state.offer_count[channel] == 0 or times[channel, 0] > turn or not has_room(memory, channel):
            break
        port = ports[channel, 0]
        state.offer_count[channel] -= 1
        for i in range(state.offer_count[channel]):
            ports[channel, i], times[channel, i] = ports[channel, i + 1], times[channel, i + 1]
        node = state.queue_head[channel, port]
        op = nodes[node, 1]
        accept(memory, channel, cycle, nodes[node, 0], wiring.write[op % stages], op)
        state.queue_head[channel, port] = nodes[node, 2]
        nodes[node, 2] = state.counters[FREE_NODE]
        state.counters[FREE_NODE] = node
        if state.queue_head[channel, port] >= 0:
            _present(state, channel, port, turn + 1)
        state.unaccepted[op] -= 1
        if state.unaccepted[op] == 0:
            station = state.lane[op // stages] * stages + op % stages
            _later(state, station, cycle + 1)
