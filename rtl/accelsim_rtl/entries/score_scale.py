"""`spatten.score_scale` for the kit: stimulus, what golden expects of it, and its latency."""

from __future__ import annotations

import numpy as np

from accelsim.golden.integer_attention import MOST_SHIFT, SCALE_BITS, scaled_scores
from accelsim.units import score_scale as unit
from accelsim.units.score_scale import ScoreScale as Parameters
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.score_scale import ScoreScale

MOST_KEYS = 40
ROUNDS = 6
"""Rows for each number of sums that a line may hold."""


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Rows for lines of 1, 2, 4, ... sums; sums small, large and about ties, every shift, masked rows."""
    return [
        _row(parameters, spread, generator)
        for _ in range(ROUNDS)
        for spread in range(parameters.most_spread + 1)
    ]


def _row(parameters: Parameters, spread: int, generator: np.random.Generator) -> Transaction:
    keys = int(generator.integers(1, min(parameters.keys, MOST_KEYS) + 1))
    visible = keys if generator.integers(2) else int(generator.integers(1, keys + 1))
    shift = int(generator.integers(MOST_SHIFT + 1))
    scale = 1 << SCALE_BITS
    if generator.integers(2):
        scale = int(generator.integers(scale >> 1, scale + 1))
    if generator.integers(2):
        # Scores of their own width, so that few saturate.
        beyond = max(0, parameters.sum_bits - parameters.score_bits)
        shift = SCALE_BITS + int(generator.integers(beyond + 3))
    lines = -(-keys >> spread)
    sums = _sums(parameters, (lines, parameters.lanes), generator)
    row = {"scale": scale, "shift": shift, "visible": visible, "spread": spread}
    return {
        "rows": [parameters.rows.pack(**row)],
        "sums": [
            parameters.sums.pack(sums=line.tolist(), last=int(number == lines - 1))
            for number, line in enumerate(sums)
        ],
    }


def _sums(parameters: Parameters, shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    most = 1 << (parameters.sum_bits - 1)
    kind = generator.integers(3)
    if kind == 0:
        return generator.integers(-most, most, shape)
    if kind == 1:
        # Powers of two and their neighbours: ties, and the ends of the range.
        powers = 1 << generator.integers(0, parameters.sum_bits - 1, shape)
        return powers * generator.choice([-1, 1], shape) + generator.integers(-1, 1, shape)
    return generator.integers(
        -most >> parameters.sum_bits // 2, (most >> parameters.sum_bits // 2) + 1, shape
    )


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """Golden's scores of a row, in full lines."""
    payloads = []
    for transaction in transactions:
        row = parameters.rows.unpack(transaction["rows"][0])
        lines = [parameters.sums.unpack(payload)["sums"] for payload in transaction["sums"]]
        sums = np.array(lines, np.int64)[:, : 1 << row["spread"]].ravel()
        scores = scaled_scores(sums, row["scale"], row["shift"], parameters.score)
        for first in range(0, len(scores), parameters.lanes):
            line = scores[first : first + parameters.lanes]
            valid = first + np.arange(parameters.lanes) < row["visible"]
            last = int(first + parameters.lanes >= len(scores))
            payloads.append(
                parameters.scores.pack(scores=line.tolist(), valid=valid.astype(int).tolist(), last=last)
            )
    return {"scores": payloads}


UNIT = Unit(
    name="spatten.score_scale",
    sentence="Sums of QxK to the softmax's fixed point: scaled, rounded, saturated, gathered to full lines",
    presets=unit.PRESETS,
    component=ScoreScale,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(
        parameters, [len(each["sums"]) for each in transactions]
    ),
    targets=("ecp5",),
    latency=lambda parameters: {"latency_cycles": parameters.latency_cycles, "lines_per_clock": 1},
)
