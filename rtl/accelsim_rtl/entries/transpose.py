"""`sat.transpose` for the kit: stimulus, what is expected of it, and its latency."""

from __future__ import annotations

import numpy as np

from accelsim.units import transpose as unit
from accelsim.units.step import pack, unpack
from accelsim.units.transpose import Transpose as Parameters
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.sat.transpose import Transpose

BEATS = 160


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Tiles of drawn numbers."""
    side, bits = parameters.side, parameters.value_bits
    tiles = generator.integers(0, 1 << 63, (max(3, BEATS // side), side, side)) >> max(0, 63 - bits)
    return [{"rows": [pack(row, bits) for row in tile.tolist()]} for tile in tiles]


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """numpy's transpose of each tile."""
    side, bits = parameters.side, parameters.value_bits
    columns = []
    for transaction in transactions:
        tile = np.array([unpack(payload, bits, side) for payload in transaction["rows"]], np.uint64)
        columns += [pack(column, bits) for column in tile.T.tolist()]
    return {"columns": columns}


UNIT = Unit(
    name="sat.transpose",
    sentence="Turns tiles of weights, rows to columns, for the other direction of groups",
    presets=unit.PRESETS,
    component=Transpose,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(parameters, len(transactions)),
    latency=lambda parameters: {"latency_cycles": parameters.side, "beats_per_clock": 1},
)
