"""`spatten.vector_store` for the kit: what was filled is read, in lines, as often as somebody asks."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.units import vector_store as unit
from accelsim.units.step import pack, unpack
from accelsim.units.vector_store import Fill, Read, Visit, pack_fill, pack_read, unpack_fill, unpack_read
from accelsim.units.vector_store import VectorStore as Parameters
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.vector_store import VectorStore

VISITS = 14
MOST_READS = 3
MOST_PIECES = 64


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Visits from one piece to a whole half, some refined, read once or several times."""
    visits = [Visit(1, False, 1), Visit(min(parameters.pieces, MOST_PIECES), True, 2)]
    for _ in range(VISITS):
        pieces = int(generator.integers(1, min(parameters.pieces, MOST_PIECES) + 1))
        visits.append(Visit(pieces, not generator.integers(3), int(generator.integers(1, MOST_READS + 1))))
    return [_transaction(parameters, visit, generator) for visit in visits]


def _transaction(parameters: Parameters, visit: Visit, generator: np.random.Generator) -> Transaction:
    pieces, refined, reads = visit
    fills = [Fill(pieces), *([Fill(pieces, least=True)] if refined else [])]
    ones, length = (1 << parameters.piece_bits) - 1, -(-parameters.piece_bits // 8)
    return {
        "fills": [pack_fill(parameters, fill) for fill in fills],
        "pieces": [
            int.from_bytes(generator.bytes(length), "little") & ones for _ in range(pieces * len(fills))
        ],
        "reads": [
            pack_read(parameters, Read(pieces, refined and number == reads - 1, number == reads - 1))
            for number in range(reads)
        ],
    }


def visits_of(parameters: Parameters, transactions: list[Transaction]) -> list[Visit]:
    """What the transactions are."""
    return [
        Visit(unpack_fill(parameters, each["fills"][0]).pieces, len(each["fills"]) > 1, len(each["reads"]))
        for each in transactions
    ]


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """Lines of all pieces, side by side."""
    bits, lanes, low = parameters.operand_bits, parameters.lanes, (1 << parameters.lsb_bits) - 1
    lines = []
    for transaction in transactions:
        pieces = transaction["pieces"]
        count = unpack_fill(parameters, transaction["fills"][0]).pieces
        first, least = pieces[:count], pieces[count:]
        refined = [
            pack(
                [
                    old - (old & low) + (new & low)
                    for old, new in zip(unpack(one, bits, lanes), unpack(other, bits, lanes), strict=True)
                ],
                bits,
            )
            for one, other in zip(first, least, strict=False)
        ]
        for payload in transaction["reads"]:
            shown = refined if unpack_read(parameters, payload).least else first
            # Least significant parts may be there before a read that does not need them: see `after`.
            for begin in range(0, count, parameters.banks):
                line = pack(shown[begin : begin + parameters.banks], parameters.piece_bits)
                last = begin + parameters.banks >= count
                lines.append(line | last << parameters.banks * parameters.piece_bits)
    return {"lines": lines}


def after(parameters: Parameters, transactions: list[Transaction]) -> dict[str, Any]:
    """Least significant parts come when the reads without them are over, and those of the half before."""
    waits, lines = [], 0
    for pieces, refined, reads in visits_of(parameters, transactions):
        each = -(-pieces // parameters.banks)
        waits += [["lines", 0], *([["lines", lines + (reads - 1) * each]] if refined else [])]
        lines += reads * each
    return {"fills": waits}


UNIT = Unit(
    name="spatten.vector_store",
    sentence="K or V store: banks side by side in two halves, a line a clock; LSBs join what is there",
    presets=unit.PRESETS,
    component=VectorStore,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(parameters, visits_of(parameters, transactions)),
    latency=lambda parameters: {
        "latency_cycles": parameters.latency_cycles,
        "lines_per_clock": 1,
        "pieces_per_clock": 1,
    },
    after=after,
)
