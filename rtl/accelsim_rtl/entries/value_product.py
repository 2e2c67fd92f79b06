"""`spatten.value_product` for the kit: stimulus, what golden expects of it, and its latency."""

from __future__ import annotations

import numpy as np

from accelsim.golden.fixed import shift_right
from accelsim.units import value_product as unit
from accelsim.units.value_product import NUMBER_BITS
from accelsim.units.value_product import ValueProduct as Parameters
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.value_product import ValueProduct

MOST_LINES = 10
ROUNDS = 6
"""Rows of each length of vector; as many again of one line each."""


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Rows for vectors of every length in turn: drawn, largest and smallest ones, single lines."""
    levels = range(parameters.least_level, parameters.levels + 1)
    rows = [(level, 0) for _ in range(ROUNDS) for level in levels]
    rows += [(int(generator.choice(levels)), 1) for _ in range(ROUNDS * len(levels))]
    return [_row(parameters, level, lines, generator) for level, lines in rows]


def _row(parameters: Parameters, level: int, lines: int, generator: np.random.Generator) -> Transaction:
    """lines: 0 for any number of them."""
    vectors = parameters.multipliers >> level
    lines = lines or int(generator.integers(1, min(MOST_LINES, -(-parameters.keys // vectors)) + 1))
    keys = min(parameters.keys, int(generator.integers((lines - 1) * vectors + 1, lines * vectors + 1)))
    probabilities = np.zeros((lines, parameters.vectors), np.int64)
    placed = np.zeros(lines * vectors, np.int64)
    placed[:keys] = _probabilities(parameters, keys, generator)
    probabilities[:, :vectors] = placed.reshape(lines, vectors)
    lowest = -(1 << (parameters.operand_bits - 1))
    values = generator.integers(lowest, -lowest, (lines, parameters.multipliers))
    if generator.integers(3) == 0:
        values[:] = generator.choice([lowest, -lowest - 1])
    number = int(generator.integers(1 << NUMBER_BITS))
    return {
        "weights": [
            parameters.weights.pack(
                probabilities=line.tolist(), level=level, number=number, last=int(place == lines - 1)
            )
            for place, line in enumerate(probabilities)
        ],
        "values": [parameters.values.pack(operands=line.tolist()) for line in values],
    }


def _probabilities(parameters: Parameters, keys: int, generator: np.random.Generator) -> np.ndarray:
    """Rounded ones: they sum to 1 and half a unit for each at most; sometimes one of them is 1."""
    one = 1 << parameters.probability_fraction_bits
    if generator.integers(4) == 0:
        return np.eye(1, keys, int(generator.integers(keys)), dtype=np.int64)[0] * one
    powers = np.exp(2 * generator.standard_normal(keys))
    return np.rint(powers / powers.sum() * one).astype(np.int64)


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """Exact sums of all products of a row, rounded by golden; magnitudes in the order of the beats."""
    payloads = []
    for transaction in transactions:
        weights = [parameters.weights.unpack(payload) for payload in transaction["weights"]]
        level, number = weights[0]["level"], weights[0]["number"]
        lines = [parameters.values.unpack(payload)["operands"] for payload in transaction["values"]]
        vectors = np.array(lines, np.int64).reshape(-1, 1 << level)
        many = parameters.multipliers >> level
        probabilities = np.array([line["probabilities"][:many] for line in weights]).ravel()
        outputs = shift_right(probabilities @ vectors, parameters.dropped_bits, parameters.rounding)
        beats = outputs.reshape(-1, parameters.output_lanes)
        payloads += [
            parameters.results.pack(
                outputs=beat.tolist(),
                number=number,
                magnitude=int(np.abs(beats[: place + 1]).sum()),
                last=int(place == len(beats) - 1),
            )
            for place, beat in enumerate(beats)
        ]
    return {"results": payloads}


def rows_of(parameters: Parameters, transactions: list[Transaction]) -> list[tuple[int, int]]:
    """Lines and level of each row."""
    return [
        (len(each["values"]), parameters.weights.field_of(each["weights"][0], "level"))
        for each in transactions
    ]


UNIT = Unit(
    name="spatten.value_product",
    sentence="PxV: probabilities times vectors of V of several lengths, a line a clock; outputs are rounded",
    presets=unit.PRESETS,
    component=ValueProduct,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(parameters, rows_of(parameters, transactions)),
    targets=("ecp5",),
    latency=lambda parameters: {
        "sum_cycles": parameters.sum_cycles,
        "output_cycles": parameters.output_cycles,
        "lines_per_clock": 1,
    },
)
