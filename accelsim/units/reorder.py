"""A buffer that puts answers into the order of their requests: the part of a step model.

Each burst gets the next of a ring of numbers, and with it a place of its own for all its beats. Answers come
in any order; beats leave in the order in which numbers were given away.
"""

from __future__ import annotations

from accelsim.units.checks import require_power_of_two

LARGEST_BURSTS = 256


def check_bursts(bursts: int, name: str = "outstanding") -> None:
    """Refuse a ring that is no power of two, by the name of its parameter."""
    require_power_of_two(name, bursts, 2, LARGEST_BURSTS)


class Reorder:
    """Room for `bursts` bursts under way. `next_number`: the number that the next one gets.

    A beat that comes is offered two clocks later, in its turn: a clock writes it, another one reads it.
    """

    def __init__(self, bursts: int) -> None:
        self._bursts = bursts
        self.next_number = self.oldest = self.level = 0
        self._given = 0
        self._shown = False
        self._lengths = [0] * bursts
        self._beats: list[list[int]] = [[] for _ in range(bursts)]

    @property
    def room(self) -> bool:
        """Whether a number is free."""
        return self.level < self._bursts

    @property
    def offered(self) -> int | None:
        """The next beat in order, if it has been read."""
        return self._beats[self.oldest][self._given] if self._shown else None

    @property
    def ends(self) -> bool:
        """Whether what is offered is the last beat of its burst, `oldest`."""
        return self._given + 1 == self._lengths[self.oldest]

    def step(self, *, reserves: int, arrives: tuple[int, int] | None, takes: bool) -> None:
        """The clock edge: `reserves` beats get a number, if any; a (number, beat) comes; the sink takes."""
        if takes and self._shown:
            ends = self.ends
            self._given += 1
            if ends:
                self._beats[self.oldest] = []
                self.oldest = (self.oldest + 1) % self._bursts
                self._given = 0
                self.level -= 1
        self._shown = self._given < len(self._beats[self.oldest])
        if arrives is not None:
            number, beat = arrives
            self._beats[number].append(beat)
        if reserves:
            self._lengths[self.next_number] = reserves
            self.next_number = (self.next_number + 1) % self._bursts
            self.level += 1
