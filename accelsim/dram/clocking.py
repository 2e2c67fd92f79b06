"""A memory run up to a cycle, with what is on offer in queues of its own; compiled, for `clocked`."""

from __future__ import annotations

from accelsim.compiled import kernel
from accelsim.dram.banks import DONE, OWNER, Integers
from accelsim.dram.controller import clock_of, step
from accelsim.dram.seat import (
    FULL,
    OPEN,
    REFUSED,
    Seat,
    channel_of,
    cycle_after,
    first_back,
    first_clock,
    forget,
    is_full,
    line_of,
    put,
)


@kernel
def enqueue(
    memory: Seat,
    queues: Integers,
    heads: Integers,
    tails: Integers,
    cycle: int,
    address: int,
    write: int,
    owner: int,
) -> int:
    """Append one access to its queue; -1 if there is no place."""
    line = line_of(memory, address)
    channel = channel_of(memory, line)
    tail = tails[channel, write]
    if tail - heads[channel, write] == queues.shape[2]:
        return -1
    queue = queues[channel, write]
    place = tail % queue.shape[0]
    queue[place, 0], queue[place, 1], queue[place, 2] = first_clock(memory, cycle), line, owner
    tails[channel, write] = tail + 1
    return int(channel)


@kernel
def run(
    memory: Seat,
    channel: int,
    queues: Integers,
    heads: Integers,
    tails: Integers,
    cycle: int,
    found: Integers,
) -> int:
    """All that a channel does in clocks that are over when this cycle begins; gives how many were settled."""
    m, doors = memory.banks, memory.doors
    c = m.memory[channel]
    limit, count = first_clock(memory, cycle), 0
    while True:
        # Of the heads of its two queues, that which is on offer for the longest.
        chosen, clock = -1, limit
        for write in range(2):
            if heads[channel, write] < tails[channel, write]:
                place = heads[channel, write] % queues.shape[2]
                since = max(queues[channel, write, place, 0], doors[channel, OPEN] + 1)
                if since < clock or (
                    chosen >= 0
                    and since == clock
                    and queues[channel, write, place, 0]
                    < queues[channel, chosen, heads[channel, chosen] % queues.shape[2], 0]
                ):
                    chosen, clock = write, since
        if clock_of(c) < clock:
            if step(m, c, channel, clock) < clock:
                doors[channel, FULL] = 0
        elif chosen >= 0:
            place = heads[channel, chosen] % queues.shape[2]
            forget(memory, c, clock)
            taken = False
            if not is_full(memory, c):
                taken = put(
                    memory,
                    queues[channel, chosen, place, 1],
                    c,
                    chosen,
                    queues[channel, chosen, place, 2],
                    clock,
                )
            if taken:
                heads[channel, chosen] += 1
                doors[channel, OPEN] = clock
                # The next of this queue is on offer from the clock behind it.
                place = heads[channel, chosen] % queues.shape[2]
                queues[channel, chosen, place, 0] = max(queues[channel, chosen, place, 0], clock + 1)
            else:
                bound = limit
                if is_full(memory, c):
                    bound = min(limit, max(clock, first_back(c)) + 1)
                again = min(step(m, c, channel, bound) + 1, bound)
                doors[channel, REFUSED] += again - clock
                doors[channel, OPEN] = again - 1
        else:
            return count
        if c[OWNER] >= 0:
            found[count, 0], found[count, 1] = c[OWNER], cycle_after(memory, c[DONE])
            count += 1
            c[OWNER] = -1
