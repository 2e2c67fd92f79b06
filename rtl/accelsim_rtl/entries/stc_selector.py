"""`stc.selector` for the kit: stimulus, what golden expects of it, and its latency."""

from __future__ import annotations

import numpy as np

from accelsim.golden.tensor_lane import undefined
from accelsim.golden.two_four import FORMATS, Codes, stored_positions
from accelsim.units.stc import selector as unit
from accelsim.units.stc import stage
from accelsim.units.stc.selector import GROUP, pack_groups, pack_picked, unpack_groups
from accelsim.units.stc.selector import Selector as Parameters
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.stc.selector import Selector

BEATS = 120
"""Of a stimulus; every code comes at least seven times in every group."""


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """All sixteen codes in turn, others in every group; drawn elements."""
    start = generator.integers(16, size=parameters.groups)
    transactions: list[Transaction] = []
    for beat in range(BEATS):
        words = generator.integers(0, 1 << 64, size=GROUP * parameters.groups, dtype=np.uint64)
        elements = [int(word) >> (64 - parameters.operand_bits) for word in words]
        transactions.append({"groups": [pack_groups(parameters, elements, ((start + beat) % 16).tolist())]})
    return transactions


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """Golden's stored positions of every code that is one; of the others the flag, and the nearest inputs."""
    payloads = []
    for transaction in transactions:
        elements, words = unpack_groups(parameters, transaction["groups"][0])
        codes = np.array(words, np.uint8)
        flags = undefined(codes, ordered=parameters.codes == "ordered")
        positions = stored_positions(_nearest(parameters, codes), FORMATS["int8"])
        operands = [
            elements[GROUP * group + int(place)] for group, row in enumerate(positions) for place in row
        ]
        payloads.append(pack_picked(parameters, operands, flags.astype(int).tolist()))
    return {"picked": payloads}


def _nearest(parameters: Parameters, codes: Codes) -> Codes:
    """Codes whose positions the multiplexers have: of three inputs the first lacks 3, the second 0."""
    if parameters.codes == "any":
        return codes
    first, second = np.minimum(codes & 3, 2), np.maximum(codes >> 2, 1)
    return np.asarray(first | second << 2, np.uint8)


UNIT = Unit(
    name="stc.selector",
    sentence="Of every four operands the two that a 2:4 code names: multiplexers of three inputs",
    presets=unit.PRESETS,
    component=Selector,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: stage.cycles(len(transactions)),
    latency=lambda parameters: {"latency_cycles": stage.LATENCY_CYCLES, "beats_per_clock": 1},
)
