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
    drawn = [(1, False, 1), (min(parameters.pieces, MOST_PIECES), True, 2)]
    for _ in range(VISITS):
        pieces = int(generator.integers(1, min(parameters.pieces, MOST_PIECES) + 1))
        drawn.append((pieces, not generator.integers(3), int(generator.integers(1, MOST_READS + 1))))
    # Least significant parts wait for lines, and a read that only releases shows none: the half before is
    # given back with its last line when they come next.
    refined_next = [refined for _, refined, _ in drawn[1:]] + [False]
    return [
        _transaction(parameters, *each, not refined and not generator.integers(3), generator)
        for each, refined in zip(drawn, refined_next, strict=True)
    ]


def _transaction(
    parameters: Parameters,
    pieces: int,
    refined: bool,
    reads: int,
    apart: bool,
    generator: np.random.Generator,
) -> Transaction:
    fills = [Fill(pieces), *([Fill(pieces, least=True)] if refined else [])]
    ones, length = (1 << parameters.piece_bits) - 1, -(-parameters.piece_bits // 8)
    return {
        "fills": [pack_fill(parameters, fill) for fill in fills],
        "pieces": [
            int.from_bytes(generator.bytes(length), "little") & ones for _ in range(pieces * len(fills))
        ],
        "reads": _reads(parameters, pieces, refined, reads, apart, generator),
    }


def _reads(
    parameters: Parameters,
    pieces: int,
    refined: bool,
    reads: int,
    apart: bool,
    generator: np.random.Generator,
) -> list[int]:
    """All lines, or the second half of them; the last read releases, or `apart` one behind it."""
    found = []
    for number in range(reads):
        first = int(generator.integers(2)) * (-(-pieces // parameters.banks) // 2)
        ends = number == reads - 1
        found.append(Read(pieces - first * parameters.banks, refined and ends, ends, first))
    if apart:
        found[-1:] = [found[-1]._replace(releases=False), Read(0, releases=True)]
    return [pack_read(parameters, read) for read in found]


def visits_of(parameters: Parameters, transactions: list[Transaction]) -> list[Visit]:
    """What the transactions are."""
    return [
        Visit(
            unpack_fill(parameters, each["fills"][0]).pieces,
            len(each["fills"]) > 1,
            tuple(
                -(-unpack_read(parameters, payload).pieces // parameters.banks) for payload in each["reads"]
            ),
        )
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
            read = unpack_read(parameters, payload)
            shown = refined if read.least else first
            # Least significant parts may be there before a read that does not need them: see `after`.
            for begin in range(read.first * parameters.banks, count if read.pieces else 0, parameters.banks):
                line = pack(shown[begin : begin + parameters.banks], parameters.piece_bits)
                last = begin + parameters.banks >= count
                lines.append(line | last << parameters.banks * parameters.piece_bits)
    return {"lines": lines}


def after(parameters: Parameters, transactions: list[Transaction]) -> dict[str, Any]:
    """Least significant parts come when the reads without them are over, and those of the half before."""
    waits, lines = [], 0
    for _, refined, reads in visits_of(parameters, transactions):
        needing = [each for each in reads if each][-1]
        lines += sum(reads)
        waits += [["lines", 0], *([["lines", lines - needing]] if refined else [])]
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
