"""Softmax of SpAtten: rows of scores to probabilities, several scores a clock, bit for bit golden's.

A row is written to a store while its largest score is found; a first pass over it gives exponents and their
sum, a second one divides. Rows follow one another without a gap: each part works on a row of its own.
Source: HPCA 2021 SpAtten, section 4, which divides in floating point and does not mention the largest score;
fixed point needs it, for otherwise an exponent has no bound.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from accelsim.golden.softmax import SoftmaxFormat, softmax
from accelsim.units.checks import check_lanes, check_store, require_range
from accelsim.units.exponent import NARROW, Exponent
from accelsim.units.promises import Promises, behind, store_depth
from accelsim.units.step import Row, pack, unpack

ROWS = 64
"""Rows that may wait for a pass: more than its latency, so that rows of one line pass at a line a clock."""

READ_CYCLES = 2
"""From a line's number to the line: the memory and its output register."""


@dataclass(frozen=True, kw_only=True)
class Softmax:
    """`lanes` scores of `score_bits` bits a clock; rows of up to `row_lines` lines.

    store_rows: rows of that length that a store holds, before the exponents and again behind them (Table I
    gives parallelism 8 and FIFOs of 128; two, because one row is written while another is read).
    """

    lanes: int = 8
    row_lines: int = 128
    store_rows: int = 2
    score_bits: int = 16
    form: SoftmaxFormat = field(default_factory=SoftmaxFormat)

    def __post_init__(self) -> None:
        check_lanes(self.lanes)
        check_store(self.row_lines, self.store_rows)
        require_range("score_bits", self.score_bits, 2, 32)
        if self.form.reciprocal_bits is not None:
            raise ValueError(
                f"form.reciprocal_bits must be none: the unit divides, not {self.form.reciprocal_bits}"
            )

    @property
    def store_lines(self) -> int:
        """Lines of each store."""
        return self.row_lines * self.store_rows

    @property
    def exponent(self) -> Exponent:
        """The lanes between the stores."""
        return Exponent(lanes=self.lanes, distance_bits=self.score_bits, form=self.form)

    @property
    def probability_bits(self) -> int:
        """Of a probability: 1.0 has a bit of its own."""
        return self.form.probability_fraction_bits + 1

    @property
    def sum_bits(self) -> int:
        """Of the sum of a row's exponents."""
        return self.exponent.power_bits + (self.lanes * self.row_lines - 1).bit_length()

    @property
    def tree_cycles(self) -> int:
        """Of a tree over the lanes of a line."""
        return (self.lanes - 1).bit_length()

    @property
    def largest_cycles(self) -> int:
        """From a row's last line to the first pass over it: the tree, what came before, the row's number."""
        return self.tree_cycles + 2

    @property
    def power_cycles(self) -> int:
        """From a line's number in the first pass to its exponents: store, distance, exponent."""
        return READ_CYCLES + 1 + self.exponent.latency_cycles

    @property
    def sum_cycles(self) -> int:
        """From a row's last line in the first pass to the second one: exponents, tree, sum."""
        return self.power_cycles + self.tree_cycles + 1

    @property
    def divide_cycles(self) -> int:
        """From a line's number in the second pass to its probabilities at the output.

        The store and the way from it; a clock for each bit of the quotient, two for its rounding; the store
        of the output.
        """
        return READ_CYCLES + 1 + self.probability_bits + 2 + 1


PRESETS = {
    "full": Softmax(),
    "narrow": Softmax(form=NARROW),
    "tiny": Softmax(
        lanes=2,
        row_lines=8,
        score_bits=9,
        form=SoftmaxFormat(
            score_fraction_bits=4, exp_fraction_bits=10, degree=2, probability_fraction_bits=6
        ),
    ),
}


def pack_scores(parameters: Softmax, scores: Sequence[int], valid: Sequence[bool], *, last: bool) -> int:
    """Payload of `scores`: a line of signed scores, which of them count, whether the row ends."""
    mask = (1 << parameters.score_bits) - 1
    line = pack([score & mask for score in scores], parameters.score_bits)
    above = pack(list(map(int, valid)), 1) | int(last) << parameters.lanes
    return line | above << parameters.lanes * parameters.score_bits


def unpack_scores(parameters: Softmax, payload: int) -> tuple[list[int], list[bool], bool]:
    """The fields of a payload of `scores`."""
    sign = 1 << (parameters.score_bits - 1)
    scores = [(word ^ sign) - sign for word in unpack(payload, parameters.score_bits, parameters.lanes)]
    *valid, last = unpack(payload >> parameters.lanes * parameters.score_bits, 1, parameters.lanes + 1)
    return scores, list(map(bool, valid)), bool(last)


def pack_probabilities(
    parameters: Softmax, probabilities: Sequence[int], valid: Sequence[bool], *, last: bool
) -> int:
    """Payload of `probabilities`: those that do not count are zero."""
    above = pack(list(map(int, valid)), 1) | int(last) << parameters.lanes
    line = pack(probabilities, parameters.probability_bits)
    return line | above << parameters.lanes * parameters.probability_bits


class Model:
    """Streams: `scores` in, `probabilities` out; probes `scored`, `powered`: lines in the two stores.

    A line is in the second store from the clock in which it is promised room there.
    """

    def __init__(self, parameters: Softmax) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """No rows, nothing under way."""
        parameters = self.parameters
        self._clock = 0
        self._row: list[tuple[list[int], list[bool]]] = []
        # Lines before each pass: whether a row ends; and rows: the first clock of their pass, their lines.
        self._stored: tuple[deque[bool], deque[bool]] = deque(), deque()
        self._rows: tuple[deque[int], deque[int]] = deque(), deque()
        self._results: deque[int] = deque()
        latency = parameters.divide_cycles
        self._promises = Promises(latency, store_depth(latency))

    def shown(self) -> Row:
        """The outputs, all of which follow from the state alone."""
        promises = self._promises
        scored, powered = map(len, self._stored)
        return {
            "scores_ready": int(scored < self.parameters.store_lines and len(self._rows[0]) < ROWS),
            "probabilities_valid": int(promises.offered is not None),
            "probabilities_payload": promises.offered or 0,
            "scored": scored,
            "powered": powered,
        }

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        row, parameters, promises = self.shown(), self.parameters, self._promises
        lines, rows, powered = parameters.store_lines, [len(each) for each in self._rows], row["powered"]
        first = self._passes(0) and powered < lines and rows[1] < ROWS
        second = self._passes(1) and promises.room
        promises.step(self._results.popleft() if second else None, inputs["probabilities_ready"])
        if second:
            self._leave(1)
        if first:
            last = self._leave(0)
            self._stored[1].append(last)
            if last:
                self._rows[1].append(self._clock + parameters.sum_cycles)
        if row["scores_ready"] and inputs["scores_valid"]:
            self._enter(inputs["scores_payload"])
        self._clock += 1
        return row

    def _passes(self, number: int) -> bool:
        """Whether the oldest row before a pass is complete."""
        rows = self._rows[number]
        return bool(rows) and rows[0] <= self._clock

    def _leave(self, number: int) -> bool:
        """A line passes. Whether it was its row's last."""
        last = self._stored[number].popleft()
        if last:
            self._rows[number].popleft()
        return last

    def _enter(self, payload: int) -> None:
        scores, valid, last = unpack_scores(self.parameters, payload)
        self._stored[0].append(last)
        self._row.append((scores, valid))
        if len(self._row) > self.parameters.row_lines:
            raise ValueError(f"a row must be of {self.parameters.row_lines} lines at most, not longer")
        if last:
            self._rows[0].append(self._clock + self.parameters.largest_cycles)
            self._results += line_probabilities(self.parameters, self._row)
            self._row = []


def line_probabilities(parameters: Softmax, row: Sequence[tuple[Sequence[int], Sequence[bool]]]) -> list[int]:
    """Payloads of `probabilities` of a row, by golden: lines of scores, and which of them count."""
    scores = np.array([line for line, _ in row])
    valid = np.array([line for _, line in row])
    probabilities = softmax(scores.reshape(1, -1), parameters.form, valid.reshape(1, -1)).reshape(
        scores.shape
    )
    return [
        pack_probabilities(parameters, line.tolist(), counts.tolist(), last=number == len(row) - 1)
        for number, (line, counts) in enumerate(zip(probabilities, valid, strict=True))
    ]


def cycles(parameters: Softmax, rows: Sequence[int]) -> int:
    """Clocks from the first line offered to the last one taken, when source and sink never wait.

    rows: lines of each. A line enters, passes once and passes again, each a clock behind the line before it,
    as soon as its row is complete there and what it comes into has room.
    """
    enters: list[int] = []
    passes: tuple[list[int], list[int]] = ([], [])
    ends: tuple[list[int], list[int]] = ([], [])
    leaves: list[int] = []
    lines, places = parameters.store_lines, store_depth(parameters.divide_cycles)
    for number, length in enumerate(rows):
        for _ in range(length):
            clock = max(
                behind(enters, 1), behind(passes[0], lines, len(enters)), behind(ends[0], ROWS, number)
            )
            enters.append(clock)
        complete = enters[-1] + parameters.largest_cycles
        for _ in range(length):
            room = max(behind(passes[1], lines, len(passes[0])), behind(ends[1], ROWS, number))
            passes[0].append(max(complete, behind(passes[0], 1), room))
        ends[0].append(passes[0][-1])
        complete = passes[0][-1] + parameters.sum_cycles
        for _ in range(length):
            passes[1].append(max(complete, behind(passes[1], 1), behind(leaves, places)))
            leaves.append(max(passes[1][-1] + parameters.divide_cycles, behind(leaves, 1)))
        ends[1].append(passes[1][-1])
    return leaves[-1] + 1 if leaves else 0
