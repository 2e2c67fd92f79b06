"""`spatten.softmax` for the kit: stimulus, what golden expects of it, and its latency."""

from __future__ import annotations

import numpy as np

from accelsim.golden.softmax import softmax
from accelsim.units import softmax as unit
from accelsim.units.softmax import Softmax as Parameters
from accelsim.units.softmax import pack_probabilities, pack_scores, unpack_scores
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.softmax import Softmax

LONGEST_ROW = 40
"""Lines of a row of the stimulus, but for two as long as may be."""
DRAWN_ROWS = 16
SHORT_ROWS = 80
"""Of one line each, more than may wait."""


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Flat rows, peaks, extremes, one score that counts, masks, many short rows, the longest there are."""
    longest = min(parameters.row_lines, LONGEST_ROW)
    lengths = [
        *[parameters.row_lines] * 2,
        1,
        longest,
        *generator.integers(1, longest + 1, DRAWN_ROWS).tolist(),
    ]
    kinds = [KINDS[number % len(KINDS)] for number in range(len(lengths))]
    lengths += [1] * SHORT_ROWS
    kinds += [_drawn] * SHORT_ROWS
    return [
        _transaction(parameters, kind(parameters, length * parameters.lanes, generator), generator)
        for kind, length in zip(kinds, lengths, strict=True)
    ]


def _drawn(parameters: Parameters, count: int, generator: np.random.Generator) -> np.ndarray:
    """As attention's scores are: a few units about zero."""
    spread = 3 << parameters.form.score_fraction_bits
    return generator.normal(0, spread, count).astype(np.int64)


def _flat(parameters: Parameters, count: int, generator: np.random.Generator) -> np.ndarray:
    """All the same: every quotient is rounded alike."""
    return np.full(count, generator.integers(-8, 8))


def _peak(parameters: Parameters, count: int, generator: np.random.Generator) -> np.ndarray:
    """One far above the others."""
    scores = np.full(count, -(1 << (parameters.score_bits - 1)))
    scores[generator.integers(count)] = (1 << (parameters.score_bits - 1)) - 1
    return scores


def _any(parameters: Parameters, count: int, generator: np.random.Generator) -> np.ndarray:
    """Any bits."""
    return generator.integers(-(1 << (parameters.score_bits - 1)), 1 << (parameters.score_bits - 1), count)


def _two(parameters: Parameters, count: int, generator: np.random.Generator) -> np.ndarray:
    """Two neighbouring scores: quotients at and about ties."""
    return generator.integers(0, 2, count)


KINDS = (_drawn, _flat, _peak, _any, _two)


def _transaction(parameters: Parameters, scores: np.ndarray, generator: np.random.Generator) -> Transaction:
    """A row; a third of them with a mask, of which some lines have nothing that counts."""
    most = (1 << (parameters.score_bits - 1)) - 1
    lines = np.clip(scores, -most - 1, most).reshape(-1, parameters.lanes)
    valid = np.ones(lines.shape, np.bool_)
    if generator.integers(3) == 0:
        valid = generator.random(lines.shape) < generator.choice([0.1, 0.9])
        valid.flat[generator.integers(valid.size)] = True
    return {
        "scores": [
            pack_scores(parameters, line.tolist(), counts.tolist(), last=number == len(lines) - 1)
            for number, (line, counts) in enumerate(zip(lines, valid, strict=True))
        ]
    }


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """Golden's softmax, a row at a time."""
    payloads = []
    for transaction in transactions:
        lines = [unpack_scores(parameters, payload) for payload in transaction["scores"]]
        scores, valid = (np.concatenate([line[part] for line in lines]) for part in (0, 1))
        row = softmax(scores, parameters.form, valid).reshape(-1, parameters.lanes).tolist()
        payloads += [
            pack_probabilities(parameters, probabilities, counts, last=last)
            for probabilities, (_, counts, last) in zip(row, lines, strict=True)
        ]
    return {"probabilities": payloads}


UNIT = Unit(
    name="spatten.softmax",
    sentence="Rows of scores to probabilities: the largest, exponents and their sum, division; 8 a clock",
    presets=unit.PRESETS,
    component=Softmax,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(
        parameters, [len(each["scores"]) for each in transactions]
    ),
    targets=("ecp5",),
    latency=lambda parameters: {
        "largest_cycles": parameters.largest_cycles,
        "sum_cycles": parameters.sum_cycles,
        "divide_cycles": parameters.divide_cycles,
        "lines_per_clock": 1,
    },
)
