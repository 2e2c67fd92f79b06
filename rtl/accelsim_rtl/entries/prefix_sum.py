"""`spatten.prefix_sum` for the kit: stimulus, what golden expects of it, and its latency."""

from __future__ import annotations

import numpy as np

from accelsim.golden.compaction import kept_before
from accelsim.units import prefix_sum as unit
from accelsim.units.prefix_sum import PrefixSum as Parameters
from accelsim_rtl.kit.ports import packed
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.prefix_sum import PrefixSum, sums_layout

ROWS = 64


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Rows of flags: none, all, the lowest, the highest, and 64 drawn ones."""
    lanes = parameters.lanes
    corners = [0, (1 << lanes) - 1, 1, 1 << (lanes - 1)]
    drawn = generator.random((ROWS, lanes)) < generator.random((ROWS, 1))
    rows = [int.from_bytes(np.packbits(row, bitorder="little").tobytes(), "little") for row in drawn]
    return [{"flags": corners}, {"flags": rows}]


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """The counts of golden, row by row."""
    layout, payloads = sums_layout(parameters), []
    for row in _rows(transactions):
        flags = np.array([row >> lane & 1 for lane in range(parameters.lanes)], dtype=bool)
        before = list(map(int, kept_before(flags)))
        payloads.append(packed(layout, {"before": before, "count": int(np.count_nonzero(flags))}))
    return {"sums": payloads}


def _rows(transactions: list[Transaction]) -> list[int]:
    return [row for transaction in transactions for row in transaction["flags"]]


UNIT = Unit(
    name="spatten.prefix_sum",
    sentence="Counts the flags before every lane",
    presets=unit.PRESETS,
    component=PrefixSum,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(parameters, _rows(transactions)),
    latency=lambda parameters: {"latency_cycles": parameters.latency_cycles, "rows_per_clock": 1},
)
