"""`spatten.dot_product` for the kit: stimulus, what golden expects of it, and its latency."""

from __future__ import annotations

import numpy as np

from accelsim.golden.matmul import matmul_integer
from accelsim.units import dot_product as unit
from accelsim.units.dot_product import DotProduct as Parameters
from accelsim.units.dot_product import Query, pack_keys, pack_query, pack_scores, unpack_keys, unpack_query
from accelsim_rtl.dot_product import DotProduct
from accelsim_rtl.kit.unit import Transaction, Unit

MOST_LINES = 12
ROUNDS = 4
"""Queries of each length of vector."""


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Queries for vectors of every length in turn; drawn operands, largest and smallest ones, zeros."""
    return [
        _query(parameters, level, generator)
        for _ in range(ROUNDS)
        for level in range(parameters.least_level, parameters.levels + 1)
    ]


def _query(parameters: Parameters, level: int, generator: np.random.Generator) -> Transaction:
    lines = int(generator.integers(1, MOST_LINES + 1))
    query = _operands(parameters, generator)
    keys = [_operands(parameters, generator) for _ in range(lines)]
    return {
        "queries": [pack_query(parameters, Query(operands=tuple(query), level=level))],
        "keys": [pack_keys(parameters, line, last=number == lines - 1) for number, line in enumerate(keys)],
    }


def _operands(parameters: Parameters, generator: np.random.Generator) -> list[int]:
    lowest, highest = -(1 << (parameters.operand_bits - 1)), (1 << (parameters.operand_bits - 1)) - 1
    drawn = generator.integers(lowest, highest + 1, parameters.multipliers)
    kind = generator.integers(6)
    if kind < 3:
        drawn[:] = (lowest, highest, 0)[kind]
    elif kind == 3:
        drawn = generator.choice([lowest, highest, 0, -1, 1], parameters.multipliers)
    return [int(operand) for operand in drawn]


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """Golden's exact products of each query with all of its keys at once."""
    payloads = []
    for transaction in transactions:
        query = unpack_query(parameters, transaction["queries"][0])
        lines = [unpack_keys(parameters, payload) for payload in transaction["keys"]]
        keys = np.array([operands for operands, _ in lines], np.int32).reshape(-1, 1 << query.level)
        scores = matmul_integer(np.array([query.operands], np.int32), keys)[0].reshape(len(lines), -1)
        payloads += [
            pack_scores(parameters, line.tolist(), last=last)
            for line, (_, last) in zip(scores, lines, strict=True)
        ]
    return {"scores": payloads}


UNIT = Unit(
    name="spatten.dot_product",
    sentence="QxK: multipliers of 12 bits, a tree of adders for vectors of several lengths, a line a clock",
    presets=unit.PRESETS,
    component=DotProduct,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(
        parameters, [len(each["keys"]) for each in transactions]
    ),
    targets=("ecp5",),
    latency=lambda parameters: {
        "latency_cycles": parameters.latency_cycles,
        "lines_per_clock": 1,
    },
)
