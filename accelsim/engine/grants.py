"""Who is next: groups to free lanes, shared units to candidates. Rules: `docs/engine.md`, Order."""

from __future__ import annotations

from accelsim.compiled import inlined
from accelsim.engine.moves import room, start
from accelsim.engine.state import CANDIDATE, DIRTY, ENDING, FREE_LANES, GROUP, JOB, KNOWN, LAST, look_again


@inlined
def fill_lane(rows, state, cycle):
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
                look_again(state, station)
            state.counters[GROUP] += 1
            return True
    return False


@inlined
def grant(rows, wiring, state, cycle, has_memory):
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
            better = best < 0 or wiring.unit_rank[station] < wiring.unit_rank[state.candidates[best]]
            free = state.unit_holder[unit] < 0 or skips
            if better and free and room(rows, wiring, state, station, job):
                best = i
        if best >= 0:
            station = state.candidates[best]
            state.candidate_count[unit] -= 1
            state.candidates[best] = state.candidates[begin + state.candidate_count[unit]]
            state.stations[station, CANDIDATE] = 0
            op = state.stations[station, JOB] * rows.stages + station % rows.stages
            start(rows, wiring, state, station, op, cycle, has_memory)
            look_again(state, station)
            return True
        state.unit_dirty[unit] = False
        state.counters[DIRTY] -= 1
        state.dirty[lowest] = state.dirty[state.counters[DIRTY]]
    return False
