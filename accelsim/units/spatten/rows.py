"""Which row goes to the head pipeline: queries of a head in their order, flat ones once more before others.

Without least significant parts a head follows the one before it at once. With them it waits until all rows
of the one before are kept, for any of them may yet want its keys again.
"""

from __future__ import annotations

from typing import NamedTuple

from accelsim.golden.topk import LFSR_BITS
from accelsim.units.fifo import Model as FifoModel
from accelsim.units.head import NOTHING
from accelsim.units.score_accumulator import CLEAR, READ
from accelsim.units.spatten.jobs import Settings
from accelsim.units.spatten.parameters import Machine
from accelsim.units.value_selection import clock_fifo
from accelsim.units.vector_store import Read, pack_read

FIRST_STEPS = 2
"""Of the program of the importance: one that clears and one that reads, beside one for each head."""


class Row(NamedTuple):
    """A row that is to be sent: its place among the head's queries, its number within the layer, whether it
    needs least significant parts, is sent for the last time, and is the last of its head."""

    place: int
    number: int
    least: bool
    whole: bool
    last: bool


class Moved(NamedTuple):
    """What others took in a clock. again: the number of a flat row, or None; kept: a row's last line of V was
    asked for; query: the row; key_reads, query_reads: what the stores are to read; least: the wish for least
    significant parts; step: one of the program."""

    again: int | None
    kept: bool
    query: bool
    key_reads: bool
    query_reads: bool
    least: bool
    step: bool


class Rows:
    """`row` is in hand until the pipeline takes it; `asks`: its query is not asked for yet, or, without a
    row, its store is to be told that the half is free. `reads`: what the store of keys is to read."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._again = FifoModel(machine.again)
        self.reset()

    def reset(self) -> None:
        """No layer."""
        self._again.reset()
        self.row: Row | None = None
        self.reads: int | None = None
        self.asks = self.wants_least = self._asked = False
        self.head = self._left = self._first = self._next = self._undecided = 0
        self._steps = 0
        self._clears = False

    @property
    def takes_again(self) -> bool:
        """Whether a flat row is taken in this clock; there is always room for as many as may come."""
        return bool(self._again.shown()["entering_ready"])

    @property
    def query_request(self) -> int | None:
        """What is asked of the store of queries."""
        if not self.asks:
            return None
        gathering, row = self._machine.gathering, self.row
        if row is None:
            return gathering.pack(indices=[], count=0, releases=1)
        return gathering.pack(indices=[row.place], count=1, releases=int(row.last))

    def query(self, settings: Settings, tokens: int, operands: int | None) -> int | None:
        """What is offered to the pipeline, once the query is there. operands: the line of the query."""
        row, head = self.row, self._machine.head
        if row is None or self.asks or operands is None:
            return None
        sees = settings["layer_visible"] + row.place
        numbers = head.queries.pack(
            operands=[],
            number=row.number,
            level=settings["vectors_level"],
            value_level=settings["vectors_value_level"],
            keys=tokens,
            visible=min(tokens, sees) if settings["layer_causal"] else tokens,
            values=settings["layer_values"],
            scale=settings["score_scale"],
            shift=settings["score_shift"],
            threshold=settings["score_threshold"],
            ignored=0 if row.whole else settings["score_ignored"],
            whole=int(row.whole),
            counts=1,
        )
        return numbers | operands

    def program(self, settings: Settings, tokens: int) -> int | None:
        """The next step for the importance of the tokens."""
        if not self._steps:
            return None
        ends = self._steps == 1
        operation = CLEAR if self._clears else READ if ends else NOTHING
        rows = 0 if self._clears or ends else settings["layer_queries"]
        return self._machine.head.importance.pack(operation=operation, count=tokens, rows=rows)

    def step(self, settings: Settings, moved: Moved, *, begins: bool, tokens: int, heads: int) -> None:
        """The clock edge."""
        chosen, first_pass = self._choose(settings, tokens)
        clock_fifo(self._again, moved.again, chosen is not None and chosen.least)
        if moved.query:
            self.row = None
        if moved.key_reads:
            self.reads = None
        if moved.query_reads:
            self.asks = False
        if moved.least:
            self.wants_least = False
        if chosen is not None:
            self.row, self.asks, self.reads = chosen, True, self._read(settings, tokens, chosen)
            self.wants_least |= chosen.least and not self._asked
            self._asked |= chosen.least
            self._next += first_pass
            if chosen.last:
                self._advance(settings)
        elif self._releases(settings):
            self.asks, self.reads = True, pack_read(self._machine.store, Read(0, releases=True))
            self._advance(settings)
        self._undecided += first_pass - moved.kept
        if moved.step:
            self._steps, self._clears = self._steps - 1, False
        if begins:
            self.head = self._first = self._next = 0
            self._left, self._steps, self._clears = heads, heads + FIRST_STEPS, True

    def _choose(self, settings: Settings, tokens: int) -> tuple[Row | None, bool]:
        """The next row, if there is one, and whether it is its first pass."""
        if self.row is not None or self.asks or self.reads is not None or not self._left:
            return None, False
        again = self._again.shown()
        if again["leaving_valid"]:
            number = again["leaving_payload"]
            place = number - self._first & (1 << LFSR_BITS) - 1
            return Row(place, number, least=True, whole=True, last=False), False
        if self._next == settings["layer_queries"] or self._undecided == self._machine.rows:
            return None, False
        place, whole = self._next, not settings["score_ignored"]
        number = self._first + place & (1 << LFSR_BITS) - 1
        last = whole and place + 1 == settings["layer_queries"]
        return Row(place, number, least=False, whole=whole, last=last), True

    def _releases(self, settings: Settings) -> bool:
        """Whether all rows of a head are kept, whose stores nobody has told so yet."""
        idle = self.row is None and not self.asks and self.reads is None
        kept = self._next == settings["layer_queries"] and not self._undecided
        return bool(self._left and idle and kept)

    def _read(self, settings: Settings, tokens: int, row: Row) -> int:
        """All keys of the head. They are asked for before the row is taken, so that rows follow each other
        without a gap; lines wait for their query."""
        pieces = tokens << settings["vectors_level"] - self._machine.lane_level
        return pack_read(self._machine.store, Read(pieces, row.least, row.last))

    def _advance(self, settings: Settings) -> None:
        """To the next head."""
        self.head, self._left, self._next, self._asked = self.head + 1, self._left - 1, 0, False
        self._first += settings["layer_queries"]
