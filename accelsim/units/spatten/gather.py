"""Vectors of a store put side by side: from places among those of a head to a line, the first one lowest.

A line of the store is read a clock, and all that is asked for of it is taken at once, so that as many
vectors of a line as are neighbours cost one clock.
"""

from __future__ import annotations

from typing import Any

from accelsim.units.spatten.parameters import Machine
from accelsim.units.step import Row, pack, unpack
from accelsim.units.vector_store import Read, pack_read

STEPS = 4
"""Lines that are asked for and not there yet: the store's one in work, the one it offers, and more."""


class Gather:
    """Streams: requests (`Machine.gathering`) in, reads out to a store and lines in from it, vectors out.

    A vector stands in 2^shift pieces. What a request does not ask for is zero in its line.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._bank_bits = (machine.banks - 1).bit_length()
        self.reset()

    def reset(self) -> None:
        """Nothing asked for."""
        self._request: dict[str, Any] | None = None
        self._placed = 0
        self._steps: list[tuple[list[tuple[int, int]], bool]] = []
        self._pieces = [0] * self._machine.banks
        self._full = False

    @property
    def offered(self) -> int | None:
        """The line that is offered in this clock."""
        return pack(self._pieces, self._machine.store.piece_bits) if self._full else None

    def reads(self, shift: int) -> Row:
        """What is offered to the store in this clock."""
        if self._request is None or (self._count and len(self._steps) == STEPS):
            return {"reads_valid": 0, "reads_payload": 0}
        _, row, last = self._taken(shift)
        pieces = self._machine.banks if self._count else 0
        read = Read(pieces, releases=last and bool(self._request["releases"]), first=row)
        return {"reads_valid": 1, "reads_payload": pack_read(self._machine.store, read)}

    def takes_lines(self, vectors_ready: bool) -> bool:
        """Whether a line of the store is taken in this clock, if there is one."""
        return not self._full or vectors_ready

    def step(
        self, *, request: int | None, shift: int, reads_ready: int, line: int | None, vectors_ready: bool
    ) -> bool:
        """The clock edge; whether a request was taken."""
        takes_line = line is not None and self.takes_lines(vectors_ready)
        asks = self.reads(shift)["reads_valid"] and reads_ready
        if self._full and vectors_ready:
            self._full = False
            self._pieces = [0] * self._machine.banks
        ready = self._request is None
        step = None
        if asks:
            placed, _, last = self._taken(shift)
            if self._count:
                step = placed, last
            self._placed += len(placed) >> shift
            if last:
                ready, self._request = True, None
        if takes_line and line is not None:
            found = unpack(line, self._machine.store.piece_bits, self._machine.banks)
            places, self._full = self._steps.pop(0)
            for place, source in places:
                self._pieces[place] = found[source]
        if step is not None:
            self._steps.append(step)
        if ready and request is not None:
            self._request = self._machine.gathering.unpack(request)
            self._placed = 0
        return ready and request is not None

    @property
    def _count(self) -> int:
        assert self._request is not None
        return int(self._request["count"])

    def _taken(self, shift: int) -> tuple[list[tuple[int, int]], int, bool]:
        """Of the next line the (place, source) of its pieces; its number; whether it is the last."""
        assert self._request is not None
        first = [index << shift for index in self._request["indices"]]
        row = first[self._placed] >> self._bank_bits if self._count else 0
        taken, many = [], 0
        for vector in range(self._placed, self._count):
            if first[vector] >> self._bank_bits == row:
                many += 1
                for piece in range(1 << shift):
                    place = (vector << shift) + piece
                    taken.append((place, (first[vector] & self._machine.banks - 1) + piece))
        return taken, row, self._placed + many == self._count
