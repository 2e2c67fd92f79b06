"""The metadata decoder of a sparse tensor core: from lanes' registers to the selects of two rows of A.

A beat is the metadata registers of the four lanes of a quad g, as `mma.sp` of the short form has them; the
selector says which lanes count. Out come rows g and g + 8: two positions a code, and whether it is none.
Source: PTX ISA 9.7.14.6, as in `accelsim.golden.fragments`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from accelsim.golden.fragments import Shape, shape_of
from accelsim.golden.tensor_lane import picked_positions, undefined
from accelsim.golden.two_four import BITS_OF_A_CODE
from accelsim.units.stc.lane import WORD_BITS, CodeForm, check_codes
from accelsim.units.stc.stage import StageModel
from accelsim.units.step import pack, unpack

QUAD = 4
"""Lanes whose registers come together."""

ROWS = 2
"""Of A, whose codes a quad holds."""

SELECT_BITS = 5
"""First position, second position, whether the code is none."""


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """For elements of `element_bits` bits: a row has eight codes in a lane's word, or four in half of one."""

    element_bits: int = 8
    codes: CodeForm = "ordered"

    def __post_init__(self) -> None:
        if self.element_bits not in (8, 16):
            raise ValueError(f"element_bits must be 8 or 16, not {self.element_bits}")
        check_codes(self.codes)

    @property
    def shape(self) -> Shape:
        """The short form of the instruction."""
        return shape_of(*(("int8", 32) if self.element_bits == 8 else ("fp16", 16)))

    @property
    def row_codes(self) -> int:
        """Codes of a row."""
        return self.shape.groups

    @property
    def row_bits(self) -> int:
        """Of the codes of a row."""
        return BITS_OF_A_CODE * self.row_codes

    @property
    def selector_bits(self) -> int:
        """Of the selector."""
        return (self.shape.selectors - 1).bit_length()


PRESETS = {
    "int8": Metadata(),
    "fp16": Metadata(element_bits=16),
    "any": Metadata(codes="any"),
    "tiny": Metadata(),
}


def pack_quad(registers: Sequence[int], selector: int) -> int:
    """Payload of `quads`: the registers of four lanes, the first lowest; above them the selector."""
    return pack(registers, WORD_BITS) | selector << QUAD * WORD_BITS


def row_words(parameters: Metadata, payload: int) -> list[int]:
    """Codes of rows g and g + 8 as words, the first code lowest."""
    selector = payload >> QUAD * WORD_BITS
    registers = unpack(payload, WORD_BITS, QUAD)
    if parameters.element_bits == 8:
        return registers[2 * selector : 2 * selector + 2]
    return unpack(registers[selector], parameters.row_bits, ROWS)


def pack_selects(parameters: Metadata, codes: Sequence[int]) -> int:
    """Payload of `rows` for the codes of both rows, row g first."""
    ordered = parameters.codes == "ordered"
    positions = picked_positions(np.array(codes), ordered=ordered)
    flags = undefined(np.array(codes), ordered=ordered)
    return pack(
        [
            int(first) | int(second) << 2 | int(flag) << 4
            for (first, second), flag in zip(positions, flags, strict=True)
        ],
        SELECT_BITS,
    )


def decoded(parameters: Metadata, payload: int) -> int:
    """The payload of `rows` for one of `quads`."""
    codes = [
        code
        for word in row_words(parameters, payload)
        for code in unpack(word, BITS_OF_A_CODE, parameters.row_codes)
    ]
    return pack_selects(parameters, codes)


class Model(StageModel):
    """Streams: `quads` in, `rows` out."""

    def __init__(self, parameters: Metadata) -> None:
        super().__init__("quads", "rows", lambda payload: decoded(parameters, payload))
