"""`spatten.value_selection` for the kit: stimulus, what golden expects of it, and its latency."""

from __future__ import annotations

import numpy as np

from accelsim.golden.attention import local_values
from accelsim.golden.topk import LFSR_BITS
from accelsim.units import value_selection as unit
from accelsim.units.value_selection import ValueSelection as Parameters
from accelsim.workload import Workload
from accelsim_rtl.kit.replay import Replayed, score_rows
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.value_selection import ValueSelection

DRAWN_ROWS = 8


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Rows that select and rows that keep all in turn and in runs; one key, all keys, ties, zeros."""
    most = parameters.topk.capacity
    shapes = [(1, 1), (most, most), (most, 1), (2, 1), (3, 3), (1, 1), (1, 1), (most, most - 1)]
    for _ in range(DRAWN_ROWS):
        keys = int(generator.integers(1, most + 1))
        shapes.append((keys, keys if generator.integers(3) == 0 else int(generator.integers(1, keys + 1))))
    return [
        transaction(parameters, _row(parameters, keys, generator), values, generator)
        for keys, values in shapes
    ]


def _row(parameters: Parameters, keys: int, generator: np.random.Generator) -> np.ndarray:
    most = (1 << parameters.topk.bits) - 1
    if generator.integers(4) == 0:
        return generator.integers(0, 3, keys)
    powers = np.exp(2 * generator.standard_normal(keys))
    return np.minimum(np.rint(powers / powers.sum() * most), most).astype(np.int64)


def transaction(
    parameters: Parameters,
    row: np.ndarray,
    values: int,
    generator: np.random.Generator,
    number: int | None = None,
) -> Transaction:
    """A row of probabilities of which `values` are kept, in lines of V of a drawn number of vectors."""
    keys, lanes = len(row), parameters.lanes
    fields = {
        "number": int(generator.integers(1 << LFSR_BITS)) if number is None else number % (1 << LFSR_BITS),
        "keys": keys,
        "values": values,
        "spread": int(generator.integers((parameters.vectors - 1).bit_length() + 1)),
    }
    return {
        "probabilities": [
            parameters.probabilities.pack(
                probabilities=row[first : first + lanes].tolist(), last=int(first + lanes >= keys), **fields
            )
            for first in range(0, keys, lanes)
        ]
    }


def replay(parameters: Parameters, workload: Workload, generator: np.random.Generator) -> Replayed:
    """Local value pruning: rows of probabilities of a workload."""
    layers, sentence = score_rows(workload, generator, longest=parameters.topk.capacity)
    most = (1 << parameters.topk.bits) - 1
    transactions = [
        transaction(parameters, np.minimum(row.scores, most), row.values, generator, row.number)
        for rows in layers
        for row in rows
    ]
    return Replayed(transactions=transactions, sentence=sentence)


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """The values that golden keeps, in their order, in lines of V."""
    payloads = []
    for each in transactions:
        lines = [parameters.probabilities.unpack(payload) for payload in each["probabilities"]]
        keys, many = lines[0]["keys"], 1 << lines[0]["spread"]
        row = np.concatenate([line["probabilities"] for line in lines])[:keys]
        kept = np.flatnonzero(local_values(row, lines[0]["values"]))
        for first in range(0, len(kept), many):
            indices = kept[first : first + many]
            payloads.append(
                parameters.selected.pack(
                    probabilities=row[indices].tolist(),
                    indices=indices.tolist(),
                    count=len(indices),
                    number=lines[0]["number"],
                    spread=lines[0]["spread"],
                    last=int(first + many >= len(kept)),
                )
            )
    return {"selected": payloads}


UNIT = Unit(
    name="spatten.value_selection",
    sentence="Local V: the largest probabilities of each row and their keys, by the top-k engine or past it",
    presets=unit.PRESETS,
    component=ValueSelection,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(
        parameters, [line for each in transactions for line in each["probabilities"]]
    ),
    replay=replay,
    targets=("ecp5",),
    latency=lambda parameters: {
        "request_cycles": parameters.topk.request_cycles,
        "filter_cycles": parameters.topk.filter_cycles,
        "bypass_cycles": 2,
        "lines_per_clock": 1,
    },
)
