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

from accelsim.dram.clocking import enqueue, run
from accelsim.dram.presets import DEVICES
from accelsim.dram.seat import Memory, most_waiting, seat

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
        # One run may settle all that both ports of a channel queue, and all that it had accepted before.
        self._found = np.zeros((2 * LONGEST_QUEUE + most_waiting(self._seat), 2), np.int64)
        self._owners = 0

    def offer(self, cycle: int, address: int, *, write: bool) -> int:
        """An access is on offer from this cycle on; gives the number by which it comes back."""
        queued = enqueue(
            self._seat, self._queues, self._heads, self._tails, cycle, address, int(write), self._owners
        )
        if queued < 0:
            raise RuntimeError(f"more than {LONGEST_QUEUE} accesses wait for a channel")
        self._owners += 1
        return self._owners - 1

    def advance(self, cycle: int) -> list[int]:
        """Accesses that are back when this cycle begins, and were not before."""
        for channel in range(len(self._heads)):
            count = run(self._seat, channel, self._queues, self._heads, self._tails, cycle, self._found)
            for owner, when in self._found[:count].tolist():
                heappush(self._back, (when, owner))
        due = []
        while self._back and self._back[0][0] <= cycle:
            due.append(heappop(self._back)[1])
        return due
