"""`stc.metadata` for the kit: stimulus, what golden expects of it, and its latency."""

from __future__ import annotations

import numpy as np

from accelsim.golden import fragments
from accelsim.golden.two_four import LEGAL_CODES, ORDERED_CODES, Codes
from accelsim.units.stc import metadata as unit
from accelsim.units.stc import stage
from accelsim.units.stc.lane import WORD_BITS
from accelsim.units.stc.metadata import QUAD, pack_quad, pack_selects
from accelsim.units.stc.metadata import Metadata as Parameters
from accelsim.units.step import unpack
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.stc.metadata import Metadata

TILES = 16
QUADS = 8


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Registers of all lanes of a warp, quad by quad: drawn ones, and ones of codes only; every selector."""
    legal = ORDERED_CODES if parameters.codes == "ordered" else LEGAL_CODES
    transactions: list[Transaction] = []
    for tile in range(TILES):
        selector = tile % parameters.shape.selectors
        registers = generator.integers(0, 1 << WORD_BITS, size=fragments.LANES, dtype=np.uint32)
        if tile // parameters.shape.selectors % 2:
            codes = generator.choice(legal, (fragments.ROWS, parameters.row_codes)).astype(np.uint8)
            registers = fragments.metadata_to_lanes(codes, parameters.shape, selector, registers)
        quads = registers.reshape(QUADS, QUAD).tolist()
        transactions.append({"quads": [pack_quad(quad, selector) for quad in quads]})
    return transactions


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """Golden's codes of the whole warp, rows g and g + 8 of every quad."""
    payloads = []
    for transaction in transactions:
        words = [unpack(payload, WORD_BITS, QUAD) for payload in transaction["quads"]]
        selector = transaction["quads"][0] >> QUAD * WORD_BITS
        registers = np.array(words, np.uint32).reshape(-1)
        codes: Codes = fragments.metadata_from_lanes(registers, parameters.shape, selector)
        payloads += [
            pack_selects(parameters, [*codes[quad].tolist(), *codes[quad + QUADS].tolist()])
            for quad in range(QUADS)
        ]
    return {"rows": payloads}


UNIT = Unit(
    name="stc.metadata",
    sentence="Metadata registers of four lanes as mma.sp has them, to the selects of two rows of A",
    presets=unit.PRESETS,
    component=Metadata,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: stage.cycles(QUADS * len(transactions)),
    latency=lambda parameters: {"latency_cycles": stage.LATENCY_CYCLES, "beats_per_clock": 1},
)
