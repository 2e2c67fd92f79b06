"""SpAtten's K store, or V store: banks side by side, two halves, one filled while the other is read.

Source: HPCA 2021 SpAtten, Table I (2 x 1024 x 64 x 12 bits, double buffering). Vectors lie one behind the
other in pieces of `lanes` operands, piece n in bank n mod `banks`: a line, all banks at one address, is read
in a clock without a conflict. Most significant parts are written with what is below them; least significant
ones replace that alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from accelsim.units.checks import check_lanes, require_power_of_two, require_range
from accelsim.units.step import Row, pack, unpack

LARGEST_LINES = 1 << 14


@dataclass(frozen=True, kw_only=True)
class VectorStore:
    """`banks` banks of `lines` pieces in each half, a piece `lanes` operands of `operand_bits` bits.

    lsb_bits: of an operand, those that least significant parts are written to.
    """

    banks: int = 16
    lanes: int = 32
    operand_bits: int = 12
    lsb_bits: int = 4
    lines: int = 128

    def __post_init__(self) -> None:
        check_lanes(self.banks, "banks")
        check_lanes(self.lanes)
        require_range("operand_bits", self.operand_bits, 2, 32)
        if not 1 <= self.lsb_bits < self.operand_bits:
            raise ValueError(f"lsb_bits must be from 1 to {self.operand_bits - 1}, not {self.lsb_bits}")
        require_power_of_two("lines", self.lines, 2, LARGEST_LINES)

    @property
    def piece_bits(self) -> int:
        """Of a piece."""
        return self.lanes * self.operand_bits

    @property
    def pieces(self) -> int:
        """That fit in a half."""
        return self.banks * self.lines

    @property
    def count_bits(self) -> int:
        """Of a number of pieces."""
        return self.pieces.bit_length()

    @property
    def line_bits(self) -> int:
        """Of the number of a line."""
        return (self.lines - 1).bit_length()

    @property
    def latency_cycles(self) -> int:
        """From the clock that reads a line to the one that offers it."""
        return 1


# Table I: 196,608 bytes in two halves, lines of 512 operands.
PRESETS = {
    "full": VectorStore(),
    "eighth": VectorStore(banks=2),
    "tiny": VectorStore(banks=4, lanes=2, operand_bits=6, lsb_bits=2, lines=4),
}


class Fill(NamedTuple):
    """A payload of `fills`: so many pieces come, most significant parts for the free half or, `least`,
    least significant ones for the half that is read."""

    pieces: int
    least: bool = False


class Read(NamedTuple):
    """A payload of `reads`: so many pieces of the older half, when it is filled, from line `first` on;
    `least`: with its least significant parts. `releases`: it is free behind the last line, and at once if
    there are no pieces to be read."""

    pieces: int
    least: bool = False
    releases: bool = False
    first: int = 0


class Model:
    """The store clock by clock. Streams: `fills`, `pieces`, `reads` in, `lines` out.

    pieces: operands. lines: the operands of all banks, `last` of a read; what is beyond its pieces is 0.
    Probes: claimed, filled (halves), refined (the older one has its least significant parts).
    """

    def __init__(self, parameters: VectorStore) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """Both halves free; what the banks hold is never read before it is written."""
        parameters = self.parameters
        self._halves = [[0] * parameters.pieces for _ in range(2)]
        self._write_half = self._read_half = self._claimed = self._filled = 0
        self._refined = False
        self._fill: Fill | None = None
        self._written = 0
        self._read: Read | None = None
        self._left = self._line = 0
        self._shown: int | None = None

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        fill, read = self._fill, self._read
        row = {
            "claimed": self._claimed,
            "filled": self._filled,
            "refined": int(self._refined),
            "pieces_ready": int(fill is not None),
            "lines_valid": int(self._shown is not None),
            "lines_payload": self._shown or 0,
        }
        there = self._filled > 0 and read is not None and (not read.least or self._refined)
        free = self._shown is None or bool(inputs["lines_ready"])
        left = self._left
        reads = there and left > 0 and free
        ends = there and (left == 0 or (free and left <= self.parameters.banks))
        fills = fill is not None and bool(inputs["pieces_valid"])
        filled = fills and fill is not None and self._written + 1 == fill.pieces
        idle = fill is None or filled
        wanted = unpack_fill(self.parameters, inputs["fills_payload"]) if inputs["fills_valid"] else None
        may = wanted is not None and (self._filled > 0 if wanted.least else self._claimed < 2)
        row["fills_ready"] = int(idle and may)
        row["reads_ready"] = int(read is None or ends)
        if reads:
            self._shown = self._take_line(left, ends)
        elif inputs["lines_ready"]:
            self._shown = None
        if fills:
            self._put(inputs["pieces_payload"], filled)
        if row["fills_ready"] and wanted is not None:
            self._fill, self._written = wanted, 0
            self._claimed += not wanted.least
        elif filled:
            self._fill = None
        if ends and read is not None and read.releases:
            self._claimed, self._filled = self._claimed - 1, self._filled - 1
            self._read_half, self._refined = 1 - self._read_half, False
        if row["reads_ready"]:
            self._read = None
            if inputs["reads_valid"]:
                self._read = unpack_read(self.parameters, inputs["reads_payload"])
                self._left, self._line = self._read.pieces, self._read.first
        return row

    @property
    def offered(self) -> int | None:
        """What is offered on `lines` in this clock."""
        return self._shown

    def _take_line(self, left: int, ends: bool) -> int:
        """A payload of `lines`."""
        parameters = self.parameters
        first = self._line * parameters.banks
        half = self._halves[self._read_half]
        pieces = [half[first + bank] if bank < left else 0 for bank in range(parameters.banks)]
        self._line += 1
        self._left = max(0, left - parameters.banks)
        return pack(pieces, parameters.piece_bits) | int(ends) << parameters.banks * parameters.piece_bits

    def _put(self, piece: int, filled: bool) -> None:
        """A piece into its bank."""
        fill, bits = self._fill, self.parameters.operand_bits
        assert fill is not None
        half = self._halves[self._read_half if fill.least else self._write_half]
        if fill.least:
            low, lanes = (1 << self.parameters.lsb_bits) - 1, self.parameters.lanes
            pairs = zip(unpack(half[self._written], bits, lanes), unpack(piece, bits, lanes), strict=True)
            piece = pack([old & ~low | new & low for old, new in pairs], bits)
        half[self._written] = piece
        self._written += 1
        if filled and fill.least:
            self._refined = True
        elif filled:
            self._filled += 1
            self._write_half = 1 - self._write_half


def pack_fill(parameters: VectorStore, fill: Fill) -> int:
    """Payload of `fills`."""
    return fill.pieces | fill.least << parameters.count_bits


def unpack_fill(parameters: VectorStore, payload: int) -> Fill:
    """The fill of a payload. ValueError for none, or more than a half holds."""
    pieces = payload & (1 << parameters.count_bits) - 1
    if not 1 <= pieces <= parameters.pieces:
        raise ValueError(f"pieces must be from 1 to {parameters.pieces} (a half), not {pieces}")
    return Fill(pieces, bool(payload >> parameters.count_bits))


def pack_read(parameters: VectorStore, read: Read) -> int:
    """Payload of `reads`."""
    above = read.least | read.releases << 1 | read.first << 2
    return read.pieces | above << parameters.count_bits


def unpack_read(parameters: VectorStore, payload: int) -> Read:
    """The fields of a payload of `reads`. ValueError for a read of nothing, or beyond what a half holds."""
    pieces, above = payload & (1 << parameters.count_bits) - 1, payload >> parameters.count_bits
    read = Read(pieces, bool(above & 1), bool(above & 2), above >> 2)
    if not pieces and not read.releases:
        raise ValueError("a read must have pieces, or release its half, not do nothing")
    if read.first * parameters.banks + pieces > parameters.pieces:
        raise ValueError(
            f"a read must end within {parameters.pieces} pieces (a half), not {pieces} from line {read.first}"
        )
    return read


class Visit(NamedTuple):
    """What a half is used for: `pieces` are filled, with their least significant parts if `refined`.

    reads: lines of each read, the last of which releases; none: it does nothing else. Of a refined half the
    last read of lines alone needs the least significant parts.
    """

    pieces: int
    refined: bool
    reads: tuple[int, ...]


def cycles(parameters: VectorStore, visits: Sequence[Visit]) -> int:
    """Clocks from the first fill offered to the last line taken; nobody waits.

    Least significant parts are offered when the last line that is read without them has been taken.
    """
    free, read_free, taken, released = 1, 1, 0, [0, 0]
    for pieces, refined, reads in visits:
        here = free = max(free, released[-2] + 1) + pieces
        last = max(number for number, lines in enumerate(reads) if lines)
        for number, lines in enumerate(reads):
            if refined and number == last:
                here = free = max(here, taken) + 1 + pieces
            read_free = max(read_free, here) + max(1, lines)
            if lines:
                taken = read_free + parameters.latency_cycles
        released.append(read_free)
    return taken
