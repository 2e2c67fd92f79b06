"""A memory for something that is clocked from outside: accesses are offered, and come back, cycle by cycle.

The engine knows what it will offer; RTL and its step model do not. The rules are those of `docs/engine.md`,
Memory, without a cache, and reads and writes are two ports. `advance` runs each channel up to a cycle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from heapq import heappop, heappush
from typing import Any

import numpy as np

from accelsim.compiled import kernel
from accelsim.dram.banks import DONE, OWNER, Integers
from accelsim.dram.controller import clock_of, step
from accelsim.dram.presets import DEVICES
from accelsim.dram.seat import (
    FULL,
    OPEN,
    REFUSED,
    Memory,
    Seat,
    channel_of,
    cycle_after,
    first_back,
    first_clock,
    forget,
    is_full,
    line_of,
    put,
    seat,
)

READS, WRITES = 0, 1
LONGEST_QUEUE = 1 << 12
"""Accesses of a channel and port that wait to be accepted."""


def described(description: Mapping[str, Any]) -> Memory:
    """A memory from plain data: `device`, `clock_hz` of the machine before it, `changes` of the device."""
    device = replace(DEVICES[description["device"]], **description.get("changes", {}))
    return Memory(dram=device, clock_hz=description["clock_hz"])


class ClockedMemory:
    """Controllers and banks of a device before a machine's clock. An access is a burst of the device."""

    def __init__(self, memory: Memory) -> None:
        if memory.cache is not None:
            raise ValueError("a memory with a cache has no clocked form")
        self.access_bytes = memory.access_bytes
        self._seat = seat(memory)
        channels = memory.dram.channels
        # Of each waiting access: since when it is on offer, its burst, its owner.
        self._queues = np.zeros((channels, 2, LONGEST_QUEUE, 3), np.int64)
        self._heads = np.zeros((channels, 2), np.int64)
        self._tails = np.zeros((channels, 2), np.int64)
        self._back: list[tuple[int, int]] = []
        self._found = np.zeros((LONGEST_QUEUE, 2), np.int64)
        self._owners = 0

    def offer(self, cycle: int, address: int, *, write: bool) -> int:
        """An access is on offer from this cycle on; gives the number by which it comes back."""
        queued: int = _enqueue(
            self._seat, self._queues, self._heads, self._tails, cycle, address, int(write), self._owners
        )
        if queued < 0:
            raise RuntimeError(f"more than {LONGEST_QUEUE} accesses wait for a channel")
        self._owners += 1
        return self._owners - 1

    def advance(self, cycle: int) -> list[int]:
        """Accesses that are back when this cycle begins, and were not before."""
        for channel in range(len(self._heads)):
            count = _run(self._seat, channel, self._queues, self._heads, self._tails, cycle, self._found)
            for owner, when in self._found[:count].tolist():
                heappush(self._back, (when, owner))
        due = []
        while self._back and self._back[0][0] <= cycle:
            due.append(heappop(self._back)[1])
        return due


@kernel
def _enqueue(
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
def _run(
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
