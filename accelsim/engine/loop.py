"""The compiled loop of the cycle engine. `docs/engine.md` defines it, `accelsim.machine` wires it up.

Whatever may have changed is put on a worklist (this cycle) or into a queue of times (later cycles); a
station or a channel is looked at only then. Nothing here is per cycle.
"""

from __future__ import annotations

from accelsim.compiled import kernel
from accelsim.dram.banks import NEVER
from accelsim.dram.seat import Seat
from accelsim.engine.grants import fill_lane, grant
from accelsim.engine.heap import take_first
from accelsim.engine.moves import move
from accelsim.engine.ports import offer, serve
from accelsim.engine.state import (
    CYCLES,
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
def advance(rows: Rows, wiring: Wiring, memory: Seat, state: State, has_memory: bool) -> None:
    """Run until nothing can happen any more."""
    counters, count = state.counters, state.stations.shape[0]
    # A 0 of its own would be a type of its own: all below would be compiled twice.
    cycle, served, over = counters[CYCLES], False, False
    while True:
        # 1. Returns: what the channels settle before this cycle. 5. Memory: what was started is offered, and
        # the channels go on until anything else could happen.
        if served:
            offer(rows, wiring, memory, state, cycle)
        left = counters[TOUCHED]
        while left > 0:
            left -= 1
            horizon = cycle
            if served:
                horizon = cycle + 1
                if left == 0:
                    horizon = state.times[state.order[0]] if state.queued[0] > 0 else NEVER
            wake = serve(rows, memory, state, state.touched[left], cycle, horizon)
            if served and wake != NEVER:
                look_later(state, count + state.touched[left], wake)
        if over:
            return
        # 2. to 4. Moves, lanes and grants, until nothing moves.
        moving = not served
        while moving:
            while counters[WORK] > 0:
                counters[WORK] -= 1
                station = state.work[counters[WORK]]
                state.stations[station, LISTED] = 0
                wake = move(rows, wiring, state, station, cycle, has_memory)
                if wake != NEVER:
                    look_later(state, station, wake)
            moving = fill_lane(rows, state, cycle) or grant(rows, wiring, state, cycle, has_memory)
        if has_memory and not served:
            served = True
            continue
        served = False
        counters[TOUCHED] = 0
        # The next cycle in which anything can happen.
        if state.queued[0] == 0:
            # The channels refresh until the end.
            over, cycle = True, counters[CYCLES]
            for channel in range(state.touched.size if has_memory else 0):
                touch(state, channel, -2)
            continue
        cycle = state.times[state.order[0]]
        while state.queued[0] > 0 and state.times[state.order[0]] == cycle:
            which = take_first(state.order, state.place, state.times, state.queued)
            if which < count:
                look_again(state, which)
            else:
                touch(state, which - count, cycle)
