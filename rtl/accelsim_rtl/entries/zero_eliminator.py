"""`spatten.zero_eliminator` for the kit: stimulus, what golden expects of it, and its latency."""

from __future__ import annotations

import numpy as np

from accelsim.golden.compaction import compact_rows
from accelsim.units import zero_eliminator as unit
from accelsim.units.zero_eliminator import ZeroEliminator as Parameters
from accelsim.workload import Workload
from accelsim_rtl.kit.ports import packed
from accelsim_rtl.kit.replay import Replayed, score_rows
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.zero_eliminator import ZeroEliminator, kept_layout, row_layout

DENSITIES = (0.0, 0.1, 0.5, 0.9, 1.0)
LONGEST_GROUP = 9


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Groups of one to nine rows at several densities; nothing kept, all kept, one kept, zeros kept."""
    groups = [(1, 0.0), (1, 1.0), (3, 0.0), (3, 1.0), (1, 0.5), (1, 0.5), (1, 1.0), (1, 1.0)]
    groups += [
        (int(generator.integers(1, LONGEST_GROUP + 1)), float(generator.choice(DENSITIES))) for _ in range(12)
    ]
    return [_group(parameters, rows, density, generator) for rows, density in groups]


def _group(parameters, rows: int, density: float, generator: np.random.Generator) -> Transaction:
    shape = (rows, parameters.lanes)
    # Zeros are elements as others: they are kept where their bit says so.
    elements = generator.integers(0, 1 << parameters.bits, size=shape, dtype=np.uint64, endpoint=False)
    elements[generator.random(shape) < 0.2] = 0
    return _rows(parameters, elements, generator.random(shape) < density)


def _rows(parameters: Parameters, elements: np.ndarray, keep: np.ndarray) -> Transaction:
    last = len(keep) - 1
    payloads = [
        packed(
            row_layout(parameters),
            {
                "elements": list(map(int, row)),
                "keep": list(map(int, kept)),
                "last": int(number == last),
            },
        )
        for number, (row, kept) in enumerate(zip(elements, keep, strict=True))
    ]
    return {"rows": payloads}


def replay(parameters: Parameters, workload: Workload, generator: np.random.Generator) -> Replayed:
    """The filter's work: a group holds the probabilities of a row and which of its values stay."""
    layers, sentence = score_rows(workload, generator)
    transactions = []
    for row in (row for rows in layers for row in rows):
        shape = (-(-len(row.scores) // parameters.lanes), parameters.lanes)
        elements, keep = np.zeros(shape, np.uint64), np.zeros(shape, np.bool_)
        elements.ravel()[: len(row.scores)] = np.minimum(row.scores, (1 << parameters.bits) - 1)
        keep.ravel()[: len(row.scores)] = row.keep
        transactions.append(_rows(parameters, elements, keep))
    return Replayed(transactions=transactions, sentence=sentence)


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """Full rows of what golden keeps of each group, and the rest."""
    layout, kept = row_layout(parameters), kept_layout(parameters)
    payloads = []
    for transaction in transactions:
        rows = [layout.from_bits(payload) for payload in transaction["rows"]]
        elements = np.array([[int(value) for value in row.elements] for row in rows], dtype=np.uint64)
        keep = np.array([[bool(bit) for bit in row.keep] for row in rows])
        full = compact_rows(elements, keep)
        payloads += [
            packed(
                kept,
                {"elements": list(map(int, row)), "count": len(row), "last": int(number == len(full) - 1)},
            )
            for number, row in enumerate(full)
        ]
    return {"kept": payloads}


UNIT = Unit(
    name="spatten.zero_eliminator",
    sentence="Closes the gaps that a filter left and joins what remains into full rows",
    presets=unit.PRESETS,
    component=ZeroEliminator,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(
        parameters, [payload for transaction in transactions for payload in transaction["rows"]]
    ),
    replay=replay,
    latency=lambda parameters: {"latency_cycles": parameters.latency_cycles, "rows_per_clock": 1},
)
