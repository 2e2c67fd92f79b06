"""Progressive quantisation's decision: a row of probabilities is used, or dropped and asked for anew.

A row whose largest probability is below a threshold is flat: its least significant bits are fetched and it is
computed once more. A row waits in a store until its last probability is seen.
Source: HPCA 2021 SpAtten, sections 3 and 4; which rows are flat is `accelsim.golden.attention.needs_lsb`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accelsim.units.checks import check_lanes, check_store, require_range
from accelsim.units.promises import Promises, behind, store_depth
from accelsim.units.softmax import READ_CYCLES, ROWS
from accelsim.units.step import Row, pack, unpack

DECISION_CYCLES = 2
"""From a row's last line to the first clock in which it can leave: comparison, and what came before."""

KEPT_CYCLES = READ_CYCLES + 1
"""From a line's number to the line at the output: its store, and that of the output."""

MOST_TAG_BITS = 128


@dataclass(frozen=True, kw_only=True)
class Decision:
    """`lanes` probabilities of `probability_bits` bits a clock, rows of up to `row_lines` lines.

    store_rows: rows of that length that the store holds. tag_bits: of what names a row, or goes with it.
    """

    lanes: int = 8
    row_lines: int = 128
    store_rows: int = 2
    probability_bits: int = 13
    tag_bits: int = 16

    def __post_init__(self) -> None:
        check_lanes(self.lanes)
        check_store(self.row_lines, self.store_rows)
        require_range("probability_bits", self.probability_bits, 1, 32)
        require_range("tag_bits", self.tag_bits, 1, MOST_TAG_BITS)

    @property
    def store_lines(self) -> int:
        """Lines of the store."""
        return self.row_lines * self.store_rows

    @property
    def line_bits(self) -> int:
        """Of a payload of `probabilities`."""
        return self.lanes * (self.probability_bits + 1) + 1


PRESETS = {
    "full": Decision(),
    "tiny": Decision(lanes=2, row_lines=8, probability_bits=4, tag_bits=5),
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """A payload of `rows`: the row's name, its threshold, whether it is computed of all bits and stays."""

    tag: int
    threshold: int
    whole: bool = False


def pack_request(parameters: Decision, request: Request) -> int:
    """Payload of `rows`."""
    above = request.threshold | int(request.whole) << parameters.probability_bits
    return request.tag | above << parameters.tag_bits


def unpack_request(parameters: Decision, payload: int) -> Request:
    """The fields of a payload of `rows`."""
    above = payload >> parameters.tag_bits
    return Request(
        tag=payload & (1 << parameters.tag_bits) - 1,
        threshold=above & (1 << parameters.probability_bits) - 1,
        whole=bool(above >> parameters.probability_bits),
    )


def pack_line(
    parameters: Decision, probabilities: Sequence[int], valid: Sequence[bool], *, last: bool
) -> int:
    """Payload of `probabilities`: a line, which of it count, whether the row ends."""
    above = pack(list(map(int, valid)), 1) | int(last) << parameters.lanes
    return pack(probabilities, parameters.probability_bits) | above << (
        parameters.lanes * parameters.probability_bits
    )


def kept_line(parameters: Decision, line: int, tag: int) -> int:
    """Payload of `kept`: one of `probabilities`, and its row's tag."""
    return line | tag << parameters.line_bits


def unpack_line(parameters: Decision, payload: int) -> tuple[list[int], list[bool], bool]:
    """The fields of a payload of `probabilities`."""
    bits = parameters.probability_bits
    *valid, last = unpack(payload >> parameters.lanes * bits, 1, parameters.lanes + 1)
    return unpack(payload, bits, parameters.lanes), list(map(bool, valid)), bool(last)


class Model:
    """Streams: `rows`, `probabilities` in, `kept`, `refetch` out; probe `stored`: lines of the store.

    A line is taken after its row's request. Rows leave in order: a dropped one takes as long as a kept one.
    """

    def __init__(self, parameters: Decision) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """No rows, nothing under way."""
        self._clock = 0
        self._request: Request | None = None
        self._reached = self._opened = False
        self._lines: deque[int] = deque()
        # Rows that are complete: from which clock on they may leave, whether they are dropped, their names.
        self._rows: deque[tuple[int, bool, int]] = deque()
        self._promises = Promises(KEPT_CYCLES, store_depth(KEPT_CYCLES))
        self._refetch: int | None = None

    def shown(self) -> Row:
        """What follows from the state alone; `rows_ready` may also follow from a line."""
        parameters, promises = self.parameters, self._promises
        room = len(self._lines) < parameters.store_lines and len(self._rows) < ROWS
        return {
            "rows_ready": int(self._request is None),
            "probabilities_ready": int(self._request is not None and room),
            "kept_valid": int(promises.offered is not None),
            "kept_payload": promises.offered or 0,
            "refetch_valid": int(self._refetch is not None),
            "refetch_payload": self._refetch or 0,
            "stored": len(self._lines),
        }

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        row, parameters, promises = self.shown(), self.parameters, self._promises
        if inputs["refetch_ready"]:
            self._refetch = None
        promises.step(self._leave(), inputs["kept_ready"])
        if row["probabilities_ready"] and inputs["probabilities_valid"]:
            row["rows_ready"] = int(self._enter(inputs["probabilities_payload"]))
        if row["rows_ready"]:
            valid, payload = inputs["rows_valid"], inputs["rows_payload"]
            self._request = unpack_request(parameters, payload) if valid else None
        self._clock += 1
        return row

    def _leave(self) -> int | None:
        """The line that leaves the store in this clock to be kept."""
        if not self._rows or self._rows[0][0] > self._clock:
            return None
        _, dropped, tag = self._rows[0]
        if not (self._opened or self._refetch is None if dropped else self._promises.room):
            return None
        if dropped and not self._opened:
            self._refetch = tag
        line = self._lines.popleft()
        last = unpack_line(self.parameters, line)[2]
        self._opened = not last
        if last:
            self._rows.popleft()
        return None if dropped else kept_line(self.parameters, line, tag)

    def _enter(self, payload: int) -> bool:
        """A line comes in. Whether it was its row's last."""
        request = self._request
        assert request is not None
        probabilities, valid, last = unpack_line(self.parameters, payload)
        self._lines.append(payload)
        self._reached |= any(
            counts and probability >= request.threshold
            for probability, counts in zip(probabilities, valid, strict=True)
        )
        if last:
            dropped = not (request.whole or self._reached)
            self._rows.append((self._clock + DECISION_CYCLES, dropped, request.tag))
            self._reached = False
        return last


def cycles(parameters: Decision, rows: Sequence[tuple[int, bool]]) -> int:
    """Clocks from the first request to the last beat taken; sources never idle, sinks never wait.

    rows: lines of each, and whether it is dropped. A request comes with the last line of the row before it.
    """
    enters: list[int] = []
    leaves: list[int] = []
    ends: list[int] = []
    last = 0
    for number, (length, dropped) in enumerate(rows):
        for _ in range(length):
            room = max(behind(leaves, parameters.store_lines, len(enters)), behind(ends, ROWS, number))
            # Behind the request of the first row.
            enters.append(max(1, behind(enters, 1), room))
        complete = enters[-1] + DECISION_CYCLES
        for place in range(length):
            leaves.append(max(complete, behind(leaves, 1)))
            if dropped and not place:
                last = max(last, leaves[-1] + 1)
        if not dropped:
            last = max(last, leaves[-1] + KEPT_CYCLES)
        ends.append(leaves[-1])
    return last + 1 if rows else 0
