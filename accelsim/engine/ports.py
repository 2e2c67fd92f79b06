"""Bursts between stations and channels: offers, queues, returns. Rules: `docs/engine.md`, Memory."""

from __future__ import annotations

from accelsim.compiled import inlined
from accelsim.dram.flow import accept, has_room, next_return, take_return
from accelsim.engine.state import FREE_NODE, JOB, STARTED, look_again, look_later, touch


@inlined
def offer(rows, wiring, memory, state, cycle):
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


@inlined
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
        touch(state, channel, cycle)
    else:
        nodes[state.queue_tail[channel, port], 2] = node
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
def accept_bursts(rows, wiring, memory, state, channel, cycle):
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
            look_later(state, station, cycle + 1)


@inlined
def give_back(rows, memory, state, channel, cycle):
    """Bursts of a channel that are due: first data and last data wake stations."""
    stages = rows.stages
    while next_return(memory, channel) <= cycle:
        op = take_return(memory, channel)
        station = state.lane[op // stages] * stages + op % stages
        state.pending[op] -= 1
        if state.first[op] < 0:
            state.first[op] = cycle
            if op % stages + 1 < stages:
                look_again(state, station + 1)
        if state.pending[op] == 0:
            look_again(state, station)
