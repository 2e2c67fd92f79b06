"""Between stations and channels: queues of accesses, what a channel takes, what comes back. `docs/engine.md`.

A channel is served ahead of the machine, up to its *horizon*: the first cycle in which anything else could
happen. What it settles on the way is told to the stations with its cycle, and brings the horizon nearer.
"""

from __future__ import annotations

from accelsim.compiled import inlined
from accelsim.dram.banks import DONE, FAR, NEVER, NEXT, OWNER, SIZE, WRITE
from accelsim.dram.cache import ASKED, FILLED, WAITERS, ask, fill, find, is_crowded, set_of, use
from accelsim.dram.controller import clock_of, has_room, step
from accelsim.dram.seat import (
    ASKING,
    FULL,
    OPEN,
    PUT,
    REFUSED,
    channel_of,
    clock_of_tick,
    cycle_after,
    cycle_of,
    first_back,
    first_clock,
    forget,
    has_room_for,
    is_full,
    is_idle,
    is_over,
    line_of,
    put,
)
from accelsim.engine.state import (
    ACCESS,
    FREE_NODE,
    JOB,
    NEXT_NODE,
    NOT_BEFORE,
    OPERATION,
    SEEN,
    STARTED,
    look_again,
    look_later,
    touch,
)

AHEAD = 16  # as many accesses of an operation as are looked for


@inlined
def offer(rows, wiring, memory, state, cycle):
    """Put the accesses of the operations that started in this cycle into the queues, by station."""
    started = state.started
    since = (first_clock(memory, cycle) - 1) * memory.cache.ticks
    for i in range(state.counters[STARTED]):
        lowest = i
        for other in range(i + 1, state.counters[STARTED]):
            if started[other] < started[lowest]:
                lowest = other
        started[i], started[lowest] = started[lowest], started[i]
        station = started[i]
        op = state.stations[station, JOB] * rows.stages + station % rows.stages
        write = int(wiring.write[station % rows.stages])
        for run in range(rows.run_begin[op], rows.run_begin[op + 1]):
            address = rows.run_address[run]
            for _ in range(rows.run_count[run]):
                access = line_of(memory, address) << 1 | write
                _enqueue(memory, state, wiring.port[station], op, access, since, cycle)
                address += rows.run_stride[run]
    state.counters[STARTED] = 0


@inlined
def _enqueue(memory, state, port, op, access, since, cycle):
    """Append one access to its (port, channel) queue."""
    nodes, channel = state.nodes, channel_of(memory, access >> 1)
    node = state.counters[FREE_NODE]
    state.counters[FREE_NODE] = nodes[node, NEXT_NODE]
    nodes[node, ACCESS], nodes[node, OPERATION], nodes[node, NEXT_NODE] = access, op, -1
    if state.queue_head[channel, port] < 0:
        state.queue_head[channel, port] = node
        _present(state, channel, port, since)
        touch(state, channel, cycle)
    else:
        nodes[state.queue_tail[channel, port], NEXT_NODE] = node
    state.queue_tail[channel, port] = node


@inlined
def _present(state, channel, port, since):
    """A queue's head goes on offer: behind everything older, in port order among equals."""
    ports, times = state.offer_port, state.offer_since
    i = state.offer_count[channel]
    while i > 0 and (
        times[channel, i - 1] > since or (times[channel, i - 1] == since and ports[channel, i - 1] > port)
    ):
        ports[channel, i], times[channel, i] = ports[channel, i - 1], times[channel, i - 1]
        i -= 1
    ports[channel, i], times[channel, i] = port, since
    state.offer_count[channel] += 1


@inlined
def serve(rows, memory, state, channel, cycle, horizon):
    """All that a channel does in clocks before the horizon's first; gives the next cycle to look at it."""
    m, cache, doors = memory.banks, memory.cache, memory.doors
    c = m.memory[channel]
    state.counters[SEEN] = horizon
    seen, limit, stuck = horizon, first_clock(memory, horizon), False
    while True:
        if state.counters[SEEN] < seen:
            seen = state.counters[SEEN]
            limit = first_clock(memory, seen)
        clock, over, refused, told, floor, listed = FAR, clock_of(c), False, -1, 0, 0
        if state.offer_count[channel] > 0:
            clock = clock_of_tick(memory, max(state.offer_since[channel, 0], doors[channel, OPEN]))
        bound = min(clock, limit)
        commands = over < bound
        if commands:
            # Commands come before what is accepted later. An idle channel has nothing but refreshes to send.
            if bound == FAR and is_idle(c):
                break
        elif clock < limit:
            if stuck and not has_room(m, c, state.nodes[_on_offer(state, channel), ACCESS] & 1):
                refused, doors[channel, FULL] = True, 1
            else:
                refused, told, floor = _accept(rows, memory, state, channel, cycle, clock)
                # Then a full queue is all that can be in the way, and only its commands make room.
                stuck = refused and cache.sets == 0 and not is_full(memory, c)
            if refused:
                bound = limit
                if not stuck and is_full(memory, c):
                    bound = min(limit, max(clock, first_back(c)) + 1)
        else:
            break
        if commands or refused:
            sent = step(m, c, channel, bound)
            if sent < bound:
                doors[channel, FULL] = 0
            if refused:
                # Asked again in the clock after the command.
                again = min(sent + 1, bound)
                doors[channel, REFUSED] += again - clock
                doors[channel, OPEN] = (again - 1) * cache.ticks
        if c[OWNER] >= 0:
            owner, floor = c[OWNER], c[DONE]
            c[OWNER] = -1
            if cache.sets == 0:
                told = owner
            else:
                floor = fill(cache, channel, owner, floor)
                if floor >= 0:
                    listed, told = 1, cache.asked[channel, owner, WAITERS]
        while told >= 0:
            behind = state.nodes[told, NEXT_NODE]
            cache.waiting[channel] -= listed
            done = max(state.nodes[told, NOT_BEFORE], floor)
            _back(rows, memory, state, state.nodes[told, OPERATION], done, cycle)
            state.nodes[told, NEXT_NODE] = state.counters[FREE_NODE]
            state.counters[FREE_NODE] = told
            told = behind
    return _next_cycle(memory, state, channel)


@inlined
def _on_offer(state, channel):
    """The node of the access that has been on offer for the longest."""
    return state.queue_head[channel, state.offer_port[channel, 0]]


@inlined
def _next_cycle(memory, state, channel):
    """A cycle before which the channel does nothing that anybody could see."""
    c, doors = memory.banks.memory[channel], memory.doors
    wake, command = NEVER, max(c[NEXT], clock_of(c))
    if state.offer_count[channel] > 0:
        clock = clock_of_tick(memory, max(state.offer_since[channel, 0], doors[channel, OPEN]))
        if doors[channel, FULL]:
            clock = max(clock, min(command, first_back(c)) if memory.outstanding > 0 else command)
        wake = cycle_of(memory, clock)
        if state.offer_count[channel] == 1 and c[SIZE + WRITE] == 0 and memory.cache.sets == 0:
            # Reads that no write can answer: nobody sees one accepted before the last of its operation.
            node = _on_offer(state, channel)
            op, ahead = state.nodes[node, OPERATION], 0
            if state.nodes[node, ACCESS] & 1 == 0:
                while ahead < AHEAD and node >= 0 and state.nodes[node, OPERATION] == op:
                    node, ahead = state.nodes[node, NEXT_NODE], ahead + 1
                wake = cycle_after(memory, clock + min(ahead - 1, memory.soonest))
    if not is_idle(c):
        wake = min(wake, cycle_after(memory, command + memory.soonest))
    return wake


@inlined
def _accept(rows, memory, state, channel, cycle, clock):
    """Take the access on offer for the longest in this clock, if there is room.

    Gives whether it is refused; and of a hit the list of nodes to tell, not before a clock. A node is kept
    until its access is back; one access of several bursts is taken burst by burst, in the same clock.
    """
    doors, cache, nodes = memory.doors, memory.cache, state.nodes
    c = memory.banks.memory[channel]
    port = state.offer_port[channel, 0]
    node = state.queue_head[channel, port]
    write, line = nodes[node, ACCESS] & 1, nodes[node, ACCESS] >> 1
    op, behind, put_now = nodes[node, OPERATION], nodes[node, NEXT_NODE], True
    tick = max(state.offer_since[channel, 0], doors[channel, OPEN])
    told, floor, since, list_of = -1, 0, 0, -1
    if doors[channel, PUT] == 0:
        forget(memory, c, clock)
        doors[channel, FULL] = 1
        if is_full(memory, c):
            return True, -1, 0
        if cache.sets > 0:
            place = -1 if write else find(cache, channel, line)
            asked = cache.lines[channel, set_of(cache, line), place, ASKED] if place >= 0 else -1
            if (place < 0 or asked >= 0) and is_crowded(cache, channel):
                return True, -1, 0
            if place >= 0:
                put_now = False
                cache.hits[channel] += 1
                since = (tick + cache.service + cache.hit_ticks + cache.ticks - 1) // cache.ticks
                floor = cache.lines[channel, set_of(cache, line), place, FILLED]
                told, list_of = (node, -1) if asked < 0 else (-1, asked)
            else:
                if not has_room_for(memory, c, write, cache.bursts):
                    return True, -1, 0
                place, floor = cache.ways - 1, 0
                asked = ask(cache, channel, -1 if write else line)
                doors[channel, ASKING] = asked
            if not write:
                use(cache, channel, line, place, asked, floor)
    if put_now:
        owner = node if cache.sets == 0 else doors[channel, ASKING]
        if not put(memory, line * cache.bursts + doors[channel, PUT], c, write, owner, clock):
            return True, -1, 0
        doors[channel, PUT] += 1
        if doors[channel, PUT] < cache.bursts:
            return False, -1, 0
        doors[channel, PUT] = 0
        if cache.sets > 0:
            list_of = doors[channel, ASKING]
    nodes[node, NOT_BEFORE], nodes[node, NEXT_NODE] = since, -1
    if list_of >= 0:
        nodes[node, NEXT_NODE] = cache.asked[channel, list_of, WAITERS]
        cache.asked[channel, list_of, WAITERS] = node
        cache.waiting[channel] += 1
    _leave(rows, memory, state, channel, port, behind, tick, op, clock, cycle)
    return False, told, floor


@inlined
def _leave(rows, memory, state, channel, port, behind, tick, op, clock, cycle):
    """The head of the queue is accepted: the next is on offer, and its operation has one less to send."""
    ports, times, doors = state.offer_port, state.offer_since, memory.doors
    doors[channel, FULL] = 0
    doors[channel, OPEN] = tick + memory.cache.service
    state.offer_count[channel] -= 1
    for i in range(state.offer_count[channel]):
        ports[channel, i], times[channel, i] = ports[channel, i + 1], times[channel, i + 1]
    state.queue_head[channel, port] = behind
    if behind >= 0:
        _present(state, channel, port, tick + memory.cache.service)
    # A clock until all are.
    state.accepted[op] = max(state.accepted[op], clock)
    state.unaccepted[op] -= 1
    if state.unaccepted[op] == 0:
        stages = rows.stages
        state.accepted[op] = cycle_after(memory, state.accepted[op])
        _tell(state, state.lane[op // stages] * stages + op % stages, state.accepted[op], cycle)


@inlined
def _back(rows, memory, state, op, done, cycle):
    """An access of this operation is done in that clock: first data and last data wake stations."""
    stages = rows.stages
    state.pending[op] -= 1
    # A clock until all are.
    state.back[op] = max(state.back[op], done)
    if state.first[op] < 0 or is_over(memory, done, state.first[op] - 1):
        state.first[op] = cycle_after(memory, done)
        if op % stages + 1 < stages and not rows.whole[op + 1]:
            station = state.lane[op // stages] * stages + op % stages
            _tell(state, station + 1, state.first[op], cycle)
    if state.pending[op] == 0:
        state.back[op] = cycle_after(memory, state.back[op])
        station = state.lane[op // stages] * stages + op % stages
        _tell(state, station, state.back[op], cycle)


@inlined
def _tell(state, station, when, cycle):
    """Look at the station in that cycle; nothing is served beyond it before."""
    state.counters[SEEN] = min(state.counters[SEEN], when)
    if when > cycle:
        look_later(state, station, when)
    else:
        look_again(state, station)
