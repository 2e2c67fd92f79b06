"""SpAtten's dequantiser: exact sums of products become scores in the fixed point that the softmax takes.

A multiplication, a shift and a rounding for each, with saturation, and whatever a line of sums holds of
vectors is gathered to full lines of scores.
Source: HPCA 2021 SpAtten, section 4: a scale that contains 1 / sqrt(D) stands before the exponents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from accelsim.golden.fixed import Fixed, Rounding, check_rounding
from accelsim.golden.integer_attention import MOST_SHIFT, SCALE_BITS, scaled_scores
from accelsim.units.checks import check_lanes, require_range
from accelsim.units.products import multiply_cycles
from accelsim.units.promises import Promises, store_depth
from accelsim.units.record import Field, Record, bits_for
from accelsim.units.step import Row

SHIFT_CYCLES = 3
"""A shift by up to 63 bits, two bits of its distance a clock."""

ROUND_CYCLES = 2
"""Which way a score rounds and whether it fits; the score."""

MOST_SUM_BITS = 44
"""A product with the scale stays within 62 bits, those of golden."""


@dataclass(frozen=True, kw_only=True)
class ScoreScale:
    """`lanes` sums of `sum_bits` bits a clock become scores of `score_bits` bits; rows of up to `keys`."""

    lanes: int = 8
    sum_bits: int = 33
    score_bits: int = 16
    keys: int = 1024
    rounding: Rounding = "half_even"

    def __post_init__(self) -> None:
        check_lanes(self.lanes)
        check_rounding(self.rounding)
        require_range("sum_bits", self.sum_bits, 2, MOST_SUM_BITS)
        require_range("score_bits", self.score_bits, 2, 32)
        require_range("keys", self.keys, 1, 1 << 20)

    @property
    def score(self) -> Fixed:
        """What a score fits; where its point stands is the affair of the scale."""
        return Fixed(integer_bits=self.score_bits - 1, fraction_bits=0, rounding=self.rounding)

    @property
    def most_spread(self) -> int:
        """log2 of the lanes."""
        return (self.lanes - 1).bit_length()

    @property
    def rows(self) -> Record:
        """scale, shift: of every sum. visible: scores that count. spread: log2 of the sums of a line."""
        return Record(
            scale=SCALE_BITS + 1,
            shift=bits_for(MOST_SHIFT),
            visible=bits_for(self.keys),
            spread=bits_for(self.most_spread),
        )

    @property
    def sums(self) -> Record:
        """A line of sums, the lowest of which are there, and whether its row ends."""
        return Record(sums=Field(self.sum_bits, self.lanes, signed=True), last=1)

    @property
    def scores(self) -> Record:
        """A line of scores, those that count, and whether its row ends: what the softmax takes."""
        return Record(
            scores=Field(self.score_bits, self.lanes, signed=True), valid=Field(1, self.lanes), last=1
        )

    @property
    def product_cycles(self) -> int:
        """Of a sum with the scale."""
        return multiply_cycles(self.sum_bits, SCALE_BITS + 2)

    @property
    def latency_cycles(self) -> int:
        """From the line that completes a line of scores to that line: product, shift, rounding, store."""
        return self.product_cycles + SHIFT_CYCLES + ROUND_CYCLES + 1


PRESETS = {
    "full": ScoreScale(),
    "tiny": ScoreScale(lanes=4, sum_bits=13, score_bits=9, keys=32),
}


class Model:
    """Streams: `rows`, `sums` in, `scores` out; probe `promised`: lines on their way or at the output.

    A line of sums is taken after its row; the next row comes with the last line of the one before it.
    """

    def __init__(self, parameters: ScoreScale) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """No row, nothing under way."""
        self._row: dict[str, int] | None = None
        self._gathered: list[int] = []
        self._left = 0
        latency = self.parameters.latency_cycles
        self._promises = Promises(latency, store_depth(latency))

    def shown(self) -> Row:
        """What follows from the state alone; `rows_ready` may also follow from a line of sums."""
        promises = self._promises
        return {
            "rows_ready": int(self._row is None),
            "sums_ready": int(self._row is not None and promises.room),
            "scores_valid": int(promises.offered is not None),
            "scores_payload": promises.offered or 0,
            "promised": promises.promised,
        }

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        row, entering = self.shown(), None
        if row["sums_ready"] and inputs["sums_valid"]:
            line = self.parameters.sums.unpack(inputs["sums_payload"])
            entering = self._gather(line["sums"], last=bool(line["last"]))
            row["rows_ready"] = line["last"]
        self._promises.step(entering, inputs["scores_ready"])
        if row["rows_ready"]:
            self._row = None
            if inputs["rows_valid"]:
                self._row = self.parameters.rows.unpack(inputs["rows_payload"])
                self._left = self._row["visible"]
        return row

    def _gather(self, sums: Sequence[int], *, last: bool) -> int | None:
        """The line of scores that a line of sums completes."""
        parameters, row = self.parameters, self._row
        assert row is not None
        self._gathered += sums[: 1 << row["spread"]]
        if not last and len(self._gathered) < parameters.lanes:
            return None
        payload = line_scores(parameters, row, self._gathered, self._left, last=last)
        self._gathered, self._left = [], max(0, self._left - parameters.lanes)
        return payload


def line_scores(
    parameters: ScoreScale, row: Mapping[str, int], sums: Sequence[int], left: int, *, last: bool
) -> int:
    """Payload of `scores` for a row's sums, `left` of which count; lanes without a sum are zero."""
    scores = scaled_scores(np.array(sums, np.int64), row["scale"], row["shift"], parameters.score)
    valid = [int(lane < left) for lane in range(parameters.lanes)]
    return parameters.scores.pack(scores=scores.tolist(), valid=valid, last=int(last))


def cycles(parameters: ScoreScale, rows: Sequence[int]) -> int:
    """Clocks from the first row offered to the last line taken; sources never idle, the sink never waits.

    rows: lines of sums of each. A line a clock; only the first row takes a clock of its own.
    """
    return 1 + sum(rows) + parameters.latency_cycles if rows else 0
