"""Local V selection of SpAtten: of each row's probabilities the largest, with the keys they belong to.

A row that keeps fewer V than it has keys goes through a top-k engine; one that keeps all passes it by. Rows
stay in order. What is kept leaves in lines of as many vectors as a line of V has.
Source: HPCA 2021 SpAtten, sections 3 and 4; the by-pass is that of the published repository's controller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from accelsim.golden.topk import LFSR_BITS
from accelsim.units import topk
from accelsim.units.checks import check_lanes
from accelsim.units.fifo import Fifo
from accelsim.units.fifo import Model as FifoModel
from accelsim.units.record import Field, Record, bits_for
from accelsim.units.step import Row
from accelsim.units.topk import TopK
from accelsim.units.topk.step import Request, pack_request

ROWS = 64
"""Rows between the two ends: more than the engine holds, so that it is never held back."""

BUFFERED = 2
"""Places of each buffer on the way: a line a clock goes through."""


@dataclass(frozen=True, kw_only=True)
class ValueSelection:
    """`lanes` probabilities a clock in, up to `vectors` of those kept a clock out; `topk`: the engine."""

    lanes: int = 8
    vectors: int = 8
    topk: TopK = field(default_factory=lambda: TopK(bits=13))

    def __post_init__(self) -> None:
        check_lanes(self.lanes)
        check_lanes(self.vectors, "vectors")
        for name, value, limit, most in (
            ("lanes", self.lanes, "topk.width", self.topk.width),
            ("vectors", self.vectors, "lanes", self.lanes),
        ):
            if value > most:
                raise ValueError(f"{name} must be {limit} ({most}) or less, not {value}")

    @property
    def parts(self) -> int:
        """Lines of probabilities in a line of the engine."""
        return self.topk.width // self.lanes

    @property
    def probabilities(self) -> Record:
        """A line; of its row: number, keys, V that it keeps, log2 of the vectors of a line."""
        count = bits_for(self.topk.capacity)
        return Record(
            probabilities=Field(self.topk.bits, self.lanes),
            last=1,
            number=LFSR_BITS,
            keys=count,
            values=count,
            spread=self.spread_bits,
        )

    @property
    def selected(self) -> Record:
        """`count` probabilities and their keys, zeros behind them; of the row: number, spread."""
        return Record(
            probabilities=Field(self.topk.bits, self.vectors),
            indices=Field(self.topk.index_bits, self.vectors),
            count=bits_for(self.vectors),
            number=LFSR_BITS,
            spread=self.spread_bits,
            last=1,
        )

    @property
    def kept(self) -> Record:
        """What the engine gives, and a line that passes it by."""
        width = self.topk.width
        return Record(
            scores=Field(self.topk.bits, width),
            indices=Field(self.topk.index_bits, width),
            count=bits_for(width),
            last=1,
        )

    @property
    def spread_bits(self) -> int:
        """Of log2 of the vectors of a line."""
        return bits_for((self.vectors - 1).bit_length())

    @property
    def rows_fifo(self) -> Fifo:
        """Of each row between the two ends: its number and spread, and whether it goes through the engine."""
        return Fifo(depth=ROWS, bits=LFSR_BITS + self.spread_bits + 1)

    @property
    def requests_fifo(self) -> Fifo:
        """Before the engine."""
        return Fifo(depth=BUFFERED, bits=2 * bits_for(self.topk.capacity) + LFSR_BITS)

    @property
    def gathered_fifo(self) -> Fifo:
        """Lines of the engine's width before it."""
        return Fifo(depth=BUFFERED, bits=self.topk.width * self.topk.bits)

    @property
    def direct(self) -> Record:
        """A line that passes the engine by: probabilities, its place, how many, whether it is the last."""
        return Record(
            probabilities=Field(self.topk.bits, self.lanes),
            line=bits_for(self.topk.capacity // self.lanes - 1),
            count=bits_for(self.lanes),
            last=1,
        )

    @property
    def direct_fifo(self) -> Fifo:
        """Lines that pass the engine by."""
        return Fifo(depth=BUFFERED, bits=self.direct.width)

    @property
    def lines_fifo(self) -> Fifo:
        """Lines of kept ones before they leave in lines of V."""
        return Fifo(depth=BUFFERED, bits=self.kept.width + LFSR_BITS + self.spread_bits)


PRESETS = {
    "full": ValueSelection(),
    "tiny": ValueSelection(lanes=2, vectors=2, topk=TopK(width=4, bits=7, capacity=32)),
}


class Model:
    """Streams: `probabilities` in, `selected` out; probes `loading`, `passes`: of the engine.

    Composed of the engine's model and of those of the buffers around it.
    """

    def __init__(self, parameters: ValueSelection) -> None:
        self.parameters = parameters
        self._engine = topk.Model(parameters.topk)
        self._rows = FifoModel(parameters.rows_fifo)
        self._requests = FifoModel(parameters.requests_fifo)
        self._gathered = FifoModel(parameters.gathered_fifo)
        self._direct = FifoModel(parameters.direct_fifo)
        self._lines = FifoModel(parameters.lines_fifo)
        self.reset()

    def reset(self) -> None:
        """No rows, nothing under way."""
        for part in (
            self._engine, self._rows, self._requests, self._gathered, self._direct, self._lines
        ):  # fmt: skip
            part.reset()
        self._parts: list[int] = []
        self._line = self._offset = 0
        self._opened = False

    def shown(self) -> Row:
        """The outputs, all of which follow from the state alone."""
        rooms = (self._rows, self._requests, self._gathered, self._direct)
        line, engine = self._lines.shown(), self._engine.shown()
        valid = line["leaving_valid"]
        return {
            "probabilities_ready": int(all(fifo.shown()["entering_ready"] for fifo in rooms)),
            "selected_valid": valid,
            "selected_payload": self._selected(line["leaving_payload"])[0] if valid else 0,
            "loading": engine["loading"],
            "passes": engine["passes"],
        }

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        row = self.shown()
        pushes: dict[str, int | None] = dict.fromkeys(("rows", "requests", "gathered", "direct"))
        if row["probabilities_ready"] and inputs["probabilities_valid"]:
            self._enter(inputs["probabilities_payload"], pushes)
        requests, gathered = self._requests.shown(), self._gathered.shown()
        merged, takes_kept, takes_direct, closes = self._merge()
        engine = self._engine.step(
            {
                "request_valid": requests["leaving_valid"],
                "request_payload": requests["leaving_payload"],
                "scores_valid": gathered["leaving_valid"],
                "scores_payload": gathered["leaving_payload"],
                "threshold_ready": 1,
                "kept_ready": int(takes_kept),
            }
        )
        pops_line = bool(row["selected_valid"] and inputs["selected_ready"]) and self._leave()
        clock_fifo(self._requests, pushes["requests"], engine["request_ready"])
        clock_fifo(self._gathered, pushes["gathered"], engine["scores_ready"])
        clock_fifo(self._rows, pushes["rows"], closes)
        clock_fifo(self._direct, pushes["direct"], takes_direct)
        clock_fifo(self._lines, merged, pops_line)
        return row

    def _enter(self, payload: int, pushes: dict[str, int | None]) -> None:
        """A line goes to the engine, or past it; with a row's first one the row is announced."""
        parameters, engine = self.parameters, self.parameters.topk
        line = parameters.probabilities.unpack(payload)
        selects, last = line["values"] < line["keys"], line["last"]
        if not self._opened:
            pushes["rows"] = (
                line["number"] | (line["spread"] | selects << parameters.spread_bits) << LFSR_BITS
            )
            if selects:
                request = Request(count=line["keys"], keep=line["values"], row_id=line["number"])
                pushes["requests"] = pack_request(engine, request)
        if selects:
            self._parts += line["probabilities"]
            if last or len(self._parts) == engine.width:
                scores = Record(scores=Field(engine.bits, engine.width))
                pushes["gathered"], self._parts = scores.pack(scores=self._parts), []
        else:
            pushes["direct"] = parameters.direct.pack(
                probabilities=line["probabilities"],
                line=self._line,
                count=min(parameters.lanes, line["keys"] - self._line * parameters.lanes),
                last=last,
            )
        self._line = 0 if last else self._line + 1
        self._opened = not last

    def _merge(self) -> tuple[int | None, bool, bool, bool]:
        """The oldest row's next line, if it is there and has room; from where; whether the row ends."""
        parameters, oldest = self.parameters, self._rows.shown()
        if not (oldest["leaving_valid"] and self._lines.shown()["entering_ready"]):
            return None, False, False, False
        row, kept = oldest["leaving_payload"], parameters.kept
        above = row & (1 << LFSR_BITS + parameters.spread_bits) - 1
        if row >> LFSR_BITS + parameters.spread_bits:
            engine = self._engine.shown()
            if not engine["kept_valid"]:
                return None, True, False, False
            line = engine["kept_payload"]
            return line | above << kept.width, True, False, bool(kept.field_of(line, "last"))
        direct = self._direct.shown()
        if not direct["leaving_valid"]:
            return None, False, True, False
        fields = parameters.direct.unpack(direct["leaving_payload"])
        first = fields["line"] * parameters.lanes
        line = kept.pack(
            scores=fields["probabilities"],
            indices=list(range(first, first + parameters.lanes)),
            count=fields["count"],
            last=fields["last"],
        )
        return line | above << kept.width, False, True, bool(fields["last"])

    def _selected(self, payload: int) -> tuple[int, bool]:
        """Payload of `selected` from a line, and whether it is the last from this line."""
        parameters, kept = self.parameters, self.parameters.kept
        line = kept.unpack(payload & (1 << kept.width) - 1)
        number = payload >> kept.width & (1 << LFSR_BITS) - 1
        spread = payload >> kept.width + LFSR_BITS
        end = min(self._offset + (1 << spread), line["count"])
        ends = end == line["count"]
        selected = parameters.selected.pack(
            probabilities=line["scores"][self._offset : end],
            indices=line["indices"][self._offset : end],
            count=end - self._offset,
            number=number,
            spread=spread,
            last=int(ends and line["last"]),
        )
        return selected, ends

    def _leave(self) -> bool:
        """A line of V leaves; whether it was the last of its line."""
        payload = self._lines.shown()["leaving_payload"]
        ends = self._selected(payload)[1]
        spread = payload >> self.parameters.kept.width + LFSR_BITS
        self._offset = 0 if ends else self._offset + (1 << spread)
        return ends


def clock_fifo(fifo: FifoModel, pushed: int | None, popped: bool | int) -> None:
    """A clock of a buffer inside a model: what comes in has room there."""
    fifo.step(
        {
            "entering_valid": int(pushed is not None),
            "entering_payload": pushed or 0,
            "leaving_ready": int(popped),
        }
    )


def cycles(parameters: ValueSelection, lines: Sequence[int]) -> int:
    """Clocks from the first line offered to the last one taken; the source never idles, the sink never waits.

    lines: payloads of `probabilities`. By the model: the engine's time follows from the scores.
    """
    model, waiting, clock, last = Model(parameters), list(reversed(lines)), 0, 0
    if not lines:
        return 0
    left = sum(parameters.probabilities.field_of(line, "last") for line in lines)
    while left:
        row = model.step(
            {
                "probabilities_valid": int(bool(waiting)),
                "probabilities_payload": waiting[-1] if waiting else 0,
                "selected_ready": 1,
            }
        )
        clock += 1
        if waiting and row["probabilities_ready"]:
            waiting.pop()
        if row["selected_valid"]:
            left -= parameters.selected.field_of(row["selected_payload"], "last")
            last = clock
    return last
