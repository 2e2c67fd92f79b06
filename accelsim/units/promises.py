"""What units with a deep pipeline share: results that wait in a store in which they were promised room.

A pipeline that stalls needs its sink's `ready` at every register. Here nothing stalls: a beat enters only if
the store behind the pipeline has room for all that is under way and for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


def store_depth(latency: int) -> int:
    """Places of a store, a power of two, that never hold back a sink that takes a beat a clock.

    latency: clocks from the one in which a beat enters to the first in which it is offered.
    """
    return 1 << (latency + 1).bit_length()


def behind(clocks: Sequence[int], distance: int, number: int | None = None) -> int:
    """The clock after that of the event `distance` before the next one, or before event `number`."""
    place = (len(clocks) if number is None else number) - distance
    return clocks[place] + 1 if place >= 0 else 0


class Promises:
    """A pipeline and the store behind it, for a step model; `latency` as in `store_depth`."""

    def __init__(self, latency: int, depth: int) -> None:
        self._depth = depth
        self._moving: deque[int | None] = deque([None] * (latency - 1))
        self._stored: deque[int] = deque()

    @property
    def room(self) -> bool:
        """Whether a beat may enter in this clock."""
        return self.promised < self._depth

    @property
    def promised(self) -> int:
        """Places of the store that are taken or will be."""
        return len(self._stored) + sum(beat is not None for beat in self._moving)

    @property
    def offered(self) -> int | None:
        """What the store offers in this clock."""
        return self._stored[0] if self._stored else None

    def step(self, entering: int | None, ready: int) -> None:
        """The clock edge: a beat enters the pipeline or none, and the sink takes what is offered or not."""
        if ready and self._stored:
            self._stored.popleft()
        self._moving.append(entering)
        arrived = self._moving.popleft()
        if arrived is not None:
            self._stored.append(arrived)
