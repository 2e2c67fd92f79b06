"""The head pipeline clock by clock: the models of its units, and what stands between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accelsim.units import (
    decision,
    dot_product,
    score_accumulator,
    score_scale,
    softmax,
    value_product,
    value_selection,
)
from accelsim.units.decision import Request, pack_request
from accelsim.units.fifo import Model as FifoModel
from accelsim.units.head.parameters import MOST_IGNORED, NOTHING, Head
from accelsim.units.score_accumulator import ADD, READ
from accelsim.units.step import Row, pack
from accelsim.units.value_selection import clock_fifo

Shown = Mapping[str, Row]
"""Of each part what follows from its state, by name."""


class Model:
    """Streams: `queries`, `keys`, `values`, `importance` in; `refetch`, `requests`, `results`, `sums` out.

    Probes: scored, powered (lines in the softmax), stored (in the decision), loading, passes (of the top-k
    engine). Each part's `valid`, and its `ready` for lines, follow from its state alone, so that all are
    known before any part is clocked.
    """

    def __init__(self, parameters: Head) -> None:
        self.parameters = parameters
        self._parts: dict[str, Any] = {
            "dot": dot_product.Model(parameters.dot),
            "scale": score_scale.Model(parameters.scale),
            "softmax": softmax.Model(parameters.softmax),
            "decision": decision.Model(parameters.decision),
            "selection": value_selection.Model(parameters.selection),
            "product": value_product.Model(parameters.product),
            "accumulator": score_accumulator.Model(parameters.accumulator),
            "scale_rows": FifoModel(parameters.scale_rows),
            "decision_rows": FifoModel(parameters.decision_rows),
            "added_lines": FifoModel(parameters.added_lines),
            "added_rows": FifoModel(parameters.added_rows),
            "weights": FifoModel(parameters.weights),
        }
        self._tag, self._accumulating = parameters.tag, parameters.accumulator
        self._queries, self._decision = parameters.queries, parameters.decision
        self._selecting, self._product = parameters.selection, parameters.product
        self._masks = [_mask(parameters, ignored) for ignored in range(1 << MOST_IGNORED.bit_length())]
        self.reset()

    def reset(self) -> None:
        """No rows, no program, nothing under way."""
        for part in self._parts.values():
            part.reset()
        self._ignored = 0
        self._opened = False
        self._task: dict[str, int] | None = None

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        shown = {name: part.shown() for name, part in self._parts.items()}
        kept, softmaxed, engine = shown["decision"], shown["softmax"], shown["selection"]
        row = {
            "keys_ready": shown["dot"]["keys_ready"],
            "importance_ready": int(self._task is None),
            "refetch_valid": kept["refetch_valid"],
            "refetch_payload": self._tag.field_of(kept["refetch_payload"], "number"),
            "results_valid": shown["product"]["results_valid"],
            "results_payload": shown["product"]["results_payload"],
            "sums_valid": shown["accumulator"]["sums_valid"],
            "sums_payload": shown["accumulator"]["sums_payload"],
            "scored": softmaxed["scored"],
            "powered": softmaxed["powered"],
            "stored": kept["stored"],
            "loading": engine["loading"],
            "passes": engine["passes"],
        }
        self._score(inputs, shown, row)
        self._weigh(inputs, shown, row)
        return row

    def _score(self, inputs: Mapping[str, int], shown: Shown, row: Row) -> None:
        """QxK, scaling, softmax, decision: a query leaves its numbers for those behind."""
        rooms = shown["scale_rows"]["entering_ready"] and shown["decision_rows"]["entering_ready"]
        query = self._query(inputs["queries_payload"]) if rooms and inputs["queries_valid"] else None
        bits = self.parameters.multipliers * self.parameters.operand_bits
        line = inputs["keys_payload"] & (1 << bits) - 1 & self._masks[self._ignored]
        ready = self._parts["dot"].step(
            {
                "queries_valid": int(query is not None),
                "queries_payload": query["dot"] if query else 0,
                "keys_valid": inputs["keys_valid"],
                "keys_payload": line | inputs["keys_payload"] >> bits << bits,
                "scores_ready": shown["scale"]["sums_ready"],
            }
        )["queries_ready"]
        row["queries_ready"] = int(ready and rooms)
        takes = query if query is not None and ready else {}
        if takes:
            self._ignored = takes["ignored"]
        scales = self._step("scale", shown, rows="scale_rows", sums="dot.scores", scores="softmax.scores")
        clock_fifo(self._parts["scale_rows"], takes.get("scale"), scales["rows_ready"])
        self._step("softmax", shown, scores="scale.scores", probabilities="decision.probabilities")
        decides = self._parts["decision"].step(
            {
                "rows_valid": shown["decision_rows"]["leaving_valid"],
                "rows_payload": shown["decision_rows"]["leaving_payload"],
                "probabilities_valid": shown["softmax"]["probabilities_valid"],
                "probabilities_payload": shown["softmax"]["probabilities_payload"],
                "kept_ready": int(self._forks(shown)),
                "refetch_ready": inputs["refetch_ready"],
            }
        )
        clock_fifo(self._parts["decision_rows"], takes.get("decision"), decides["rows_ready"])

    def _step(self, name: str, shown: Shown, **streams: str) -> Row:
        """A clock of a part whose streams end at other parts: `scores="dot.scores"`, or at a buffer."""
        inputs: Row = {}
        for stream, end in streams.items():
            other, _, far = end.partition(".")
            far = far or "leaving"
            if f"{stream}_valid" in shown[name]:
                inputs[f"{stream}_ready"] = shown[other][f"{far}_ready"]
            else:
                inputs |= {f"{stream}_{word}": shown[other][f"{far}_{word}"] for word in ("valid", "payload")}
        clocked: Row = self._parts[name].step(inputs)
        return clocked

    def _query(self, payload: int) -> dict[str, int]:
        """What a row leaves for QxK, for the scaling and for the decision."""
        parameters, fields = self.parameters, self._queries
        value = {name: fields.field_of(payload, name) for name in fields.fields}
        levels = parameters.dot.levels
        operands = value["operands"] & self._masks[value["ignored"]]
        tag = self._tag.pack(
            number=value["number"],
            keys=value["keys"],
            values=value["values"],
            spread=levels - value["value_level"],
            counts=value["counts"],
        )
        request = Request(tag=tag, threshold=value["threshold"], whole=bool(value["whole"]))
        return {
            "ignored": value["ignored"],
            "dot": operands | value["level"] << parameters.multipliers * parameters.operand_bits,
            "scale": parameters.scale.rows.pack(
                scale=value["scale"],
                shift=value["shift"],
                visible=value["visible"],
                spread=levels - value["level"],
            ),
            "decision": pack_request(self._decision, request),
        }

    def _forks(self, shown: Shown) -> bool:
        """Whether a line that is kept has room wherever it may go."""
        rooms = shown["added_lines"]["entering_ready"] and shown["added_rows"]["entering_ready"]
        return bool(rooms and shown["selection"]["probabilities_ready"])

    def _weigh(self, inputs: Mapping[str, int], shown: Shown, row: Row) -> None:
        """A line that is kept goes to the importance and to the selection; what that keeps, to PxV."""
        kept = shown["decision"]
        forks = bool(self._forks(shown) and kept["kept_valid"])
        line = kept["kept_payload"] if forks else 0
        self._accumulate(inputs, shown, line if forks else None)
        room = shown["weights"]["entering_ready"]
        selected = shown["selection"]["selected_payload"]
        row["requests_valid"] = int(shown["selection"]["selected_valid"] and room)
        row["requests_payload"] = self._asked(selected)
        self._parts["selection"].step(
            {
                "probabilities_valid": int(forks),
                "probabilities_payload": self._selects(line) if forks else 0,
                "selected_ready": int(room and inputs["requests_ready"]),
            }
        )
        weights = shown["weights"]
        multiplies = self._parts["product"].step(
            {
                "weights_valid": weights["leaving_valid"],
                "weights_payload": weights["leaving_payload"],
                "values_valid": inputs["values_valid"],
                "values_payload": inputs["values_payload"],
                "results_ready": inputs["results_ready"],
            }
        )
        row["values_ready"] = multiplies["values_ready"]
        asks = row["requests_valid"] and inputs["requests_ready"]
        clock_fifo(
            self._parts["weights"], self._weights(selected) if asks else None, multiplies["weights_ready"]
        )

    def _accumulate(self, inputs: Mapping[str, int], shown: Shown, line: int | None) -> None:
        """The program's step in work: rows that it waits for, then its operation."""
        rows, lines, task = shown["added_rows"], shown["added_lines"], self._task
        request = None
        waits = task is not None and task["rows"] > 0
        if task is not None and not waits and task["operation"] != NOTHING:
            request = task["operation"] | task["count"] << 2
        elif waits and rows["leaving_valid"]:
            request = ADD | rows["leaving_payload"] << 2
        accumulates = self._parts["accumulator"].step(
            {
                "request_valid": int(request is not None),
                "request_payload": request or 0,
                "scores_valid": lines["leaving_valid"],
                "scores_payload": lines["leaving_payload"],
                "sums_ready": inputs["sums_ready"],
            }
        )
        goes = request is not None and bool(accumulates["request_ready"])
        if task is None:
            if inputs["importance_valid"]:
                self._task = self.parameters.importance.unpack(inputs["importance_payload"])
        elif waits:
            task["rows"] -= goes
        elif goes or task["operation"] == NOTHING:
            self._task = None
        pushes: tuple[int | None, int | None] = (None, None)
        if line is not None:
            pushes = self._added(line)
        clock_fifo(self._parts["added_rows"], pushes[0], waits and goes)
        clock_fifo(self._parts["added_lines"], pushes[1], accumulates["scores_ready"])

    def _added(self, line: int) -> tuple[int | None, int | None]:
        """What a kept line leaves for the accumulator: its row with the first one, and its probabilities."""
        tag, last = self._split(line)
        opens, self._opened = not self._opened, not last
        if not self._tag.field_of(tag, "counts"):
            return None, None
        bits = self._decision.lanes * self._decision.probability_bits
        return self._tag.field_of(tag, "keys") if opens else None, line & (1 << bits) - 1

    def _split(self, line: int) -> tuple[int, int]:
        """The tag of a kept line, and whether it is its row's last."""
        bits = self._decision.line_bits
        return line >> bits, line >> bits - 1 & 1

    def _selects(self, line: int) -> int:
        """A kept line as the selection takes it."""
        tag, last = self._split(line)
        bits = self._decision.lanes * self._decision.probability_bits
        above = tag & (1 << self._tag.width - 1) - 1
        return line & (1 << bits) - 1 | last << bits | above << bits + 1

    def _asked(self, selected: int) -> int:
        """The request for a line of V."""
        fields = self._selecting.selected.unpack(selected)
        return self.parameters.value_requests.pack(
            **{name: fields[name] for name in ("indices", "count", "last", "number")}
        )

    def _weights(self, selected: int) -> int:
        """The same line's probabilities for PxV."""
        fields = self._selecting.selected.unpack(selected)
        return self._product.weights.pack(
            probabilities=fields["probabilities"],
            level=self._product.levels - fields["spread"],
            number=fields["number"],
            last=fields["last"],
        )


def _mask(parameters: Head, ignored: int) -> int:
    """A line of operands of which the lowest bits are left out."""
    word = (1 << parameters.operand_bits) - 1 & ~((1 << min(ignored, parameters.operand_bits)) - 1)
    return pack([word] * parameters.multipliers, parameters.operand_bits)


def cycles(parameters: Head, sources: Mapping[str, Sequence[int]]) -> int:
    """Clocks from the first beats offered to the last ones taken; sources never idle, sinks never wait.

    sources: payloads of every input stream. By the model, for rows share its units. ValueError if the work
    does not end: lines, rows and program do not fit each other.
    """
    model, clock, last, quiet = Model(parameters), 0, 0, 0
    waiting = {name: list(reversed(payloads)) for name, payloads in sources.items()}
    results, sums = parameters.product.results, parameters.accumulator
    reads = [parameters.importance.field_of(each, "operation") for each in sources["importance"]]
    left = len(sources["queries"]) + reads.count(READ)
    while left:
        inputs = {f"{name}_ready": 1 for name in ("refetch", "requests", "results", "sums")}
        for name, payloads in waiting.items():
            inputs |= {
                f"{name}_valid": int(bool(payloads)),
                f"{name}_payload": payloads[-1] if payloads else 0,
            }
        row = model.step(inputs)
        clock, quiet = clock + 1, quiet + 1
        for name, payloads in waiting.items():
            if payloads and row[f"{name}_ready"]:
                payloads.pop()
                quiet = 0
        done = row["refetch_valid"]
        if row["results_valid"]:
            done += results.field_of(row["results_payload"], "last")
        if row["sums_valid"]:
            done += row["sums_payload"] >> sums.width * sums.sum_bits + sums.width.bit_length()
        if done:
            left, last, quiet = left - done, clock, 0
        if quiet > PATIENCE_CLOCKS:
            raise ValueError(f"the work must end, not leave {left} rows or reads behind")
    return last


PATIENCE_CLOCKS = 1 << 16
"""Longer than any selection of one row."""
