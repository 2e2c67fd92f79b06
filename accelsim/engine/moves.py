"""Starts, frees and ends: what one station does in one cycle. Rules: `docs/engine.md`, Three times."""

from __future__ import annotations

from accelsim.compiled import inlined
from accelsim.dram.banks import NEVER
from accelsim.engine.state import (
    AFTER,
    BUFFER,
    CANDIDATE,
    CYCLES,
    ENDED,
    ENDING,
    FREE_LANES,
    HOLDS,
    INPUT,
    JOB,
    KNOWN,
    LAST,
    MEMORY,
    STARTED,
    UNIT,
    UPSTREAM,
    change,
    look_again,
    soil,
    stand,
)


@inlined
def move(rows, wiring, state, station, cycle, has_memory):
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
                due = max(due, state.back[op])
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
            if state.unaccepted[op] == 0:
                due = max(due, state.accepted[op])
            if due > cycle:
                return min(wake, due)
            if state.unaccepted[op] > 0 or (stage > 0 and state.end[op - 1] < 0):
                return wake
            _free(rows, wiring, state, station, op, cycle)
            continue
        # Start.
        due = _ready(rows, state, station, op, cycle)
        if due != cycle:
            return min(wake, due)
        if _arbitrated(rows, wiring, station, op):
            if not stations[station, CANDIDATE]:
                stand(wiring, state, station)
            return wake
        if not room(rows, wiring, state, station, job):
            return wake
        start(rows, wiring, state, station, op, cycle, has_memory)


@inlined
def _ready(rows, state, station, op, cycle):
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


@inlined
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


@inlined
def _after_cycle(rows, state, op):
    """Cycle in which the last of the operations that this one waits for ended; -1 if there is none."""
    latest = -1
    if rows.after_op.size:
        for i in range(rows.after_begin[op], rows.after_begin[op + 1]):
            latest = max(latest, state.end[rows.after_op[i]])
    return latest


@inlined
def _arbitrated(rows, wiring, station, op):
    """Must this start be granted?"""
    if not rows.skip[op]:
        return wiring.unit_arbitrated[wiring.unit[station]]
    stage, job = op % rows.stages, op // rows.stages
    for b in range(wiring.buffer_take.size):
        if wiring.buffer_take[b] == stage and rows.take[job, b] > 0:
            shared = wiring.buffer_shared[wiring.buffer[station // rows.stages, b]]
            if shared:
                return True
    return False


@inlined
def room(rows, wiring, state, station, job):
    """Do the buffers that this station takes from have room for the job?"""
    lane, stage = station // rows.stages, station % rows.stages
    for b in range(wiring.buffer_take.size):
        if wiring.buffer_take[b] == stage and rows.take[job, b] > 0:
            used = state.used[wiring.buffer[lane, b]]
            if used + rows.take[job, b] > wiring.buffer_capacity[b]:
                return False
    return True


@inlined
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


@inlined
def start(rows, wiring, state, station, op, cycle, has_memory):
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
            change(state, wiring.buffer[station // stages, b], rows.take[job, b], cycle)
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
        look_again(state, station + 1)


@inlined
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
    if wiring.unit_arbitrated[unit]:
        soil(state, unit)


@inlined
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
            change(state, which, -rows.give[job, b], cycle)
            look_again(state, lane * stages + wiring.buffer_take[b])
            for i in range(wiring.buffer_unit_begin[which], wiring.buffer_unit_begin[which + 1]):
                soil(state, wiring.buffer_unit[i])
    if stage + 1 < stages:
        look_again(state, station + 1)
    if rows.after_op.size:
        waiting = state.waiter[op]
        state.waiter[op] = -1
        while waiting >= 0:
            state.waits[waiting] = False
            look_again(state, waiting)
            waiting = state.next_waiter[waiting]
