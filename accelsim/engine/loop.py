"""The compiled loop of the cycle engine. `docs/engine.md` defines it, `accelsim.machine` wires it up.

Whatever may have changed is put on a worklist (this cycle) or into a queue of times (later cycles); a
station or a channel is looked at only then. Nothing here is per cycle.
"""

from __future__ import annotations

from accelsim.compiled import kernel
from accelsim.dram.flow import NEVER, Flow, has_room, next_return
from accelsim.engine.grants import fill_lane, grant
from accelsim.engine.heap import take_first
from accelsim.engine.moves import move
from accelsim.engine.ports import accept_bursts, give_back, offer
from accelsim.engine.state import (
    LISTED,
    TOUCHED,
    WORK,
    Rows,
    State,
    Wiring,
    look_again,
    look_later,
    touch,
)


@kernel
def advance(rows: Rows, wiring: Wiring, memory: Flow, state: State, has_memory: bool) -> None:
    """Run until nothing can happen any more."""
    counters, count = state.counters, state.stations.shape[0]
    cycle = 0
    while True:
        # 1. Returns: bursts that are due come back.
        for i in range(counters[TOUCHED]):
            give_back(rows, memory, state, state.touched[i], cycle)
        # 2. to 4. Moves, lanes and grants, until nothing moves.
        moving = True
        while moving:
            while counters[WORK] > 0:
                counters[WORK] -= 1
                station = state.work[counters[WORK]]
                state.stations[station, LISTED] = 0
                wake = move(rows, wiring, state, station, cycle, has_memory)
                if wake != NEVER:
                    look_later(state, station, wake)
            moving = fill_lane(rows, state, cycle) or grant(rows, wiring, state, cycle, has_memory)
        # 5. Memory: what was started is offered, every channel accepts.
        if has_memory:
            offer(rows, wiring, memory, state, cycle)
            for i in range(counters[TOUCHED]):
                channel = state.touched[i]
                accept_bursts(rows, wiring, memory, state, channel, cycle)
                wake = next_return(memory, channel)
                if state.offer_count[channel] > 0 and has_room(memory, channel):
                    wake = cycle + 1
                if wake != NEVER:
                    look_later(state, count + channel, wake)
        counters[TOUCHED] = 0
        # The next cycle in which anything can happen.
        if state.queued[0] == 0:
            return
        cycle = state.times[state.order[0]]
        while state.queued[0] > 0 and state.times[state.order[0]] == cycle:
            which = take_first(state.order, state.place, state.times, state.queued)
            if which < count:
                look_again(state, which)
            else:
                touch(state, which - count, cycle)
