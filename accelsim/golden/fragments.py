"""Which lane of a warp holds what of one `mma.sp`: A, B, the accumulators and the metadata.

All maps are of 32-bit registers: g = lane // 4 is a row of A or a column of B, t = lane % 4 a word along k,
and elements fill a register from the lowest bits. Source: PTX ISA 9.7.14.6; for metadata, whose figures are
images, the text form is checked against PyTorch's reordered metadata where that exists (16-bit m16n8k32,
8-bit m16n8k64, tf32 m16n8k16). The short forms, and int4, follow the same rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.two_four import FORMATS, Codes, Format

LANES = 32
ROWS, COLUMNS = 16, 8

Registers = npt.NDArray[np.uint32]
"""(32 lanes, registers), or (32 lanes,) for metadata."""


@dataclass(frozen=True)
class Shape:
    """`mma.sp` m16n8k`k` of one element type; k counts dense elements."""

    form: Format
    k: int

    def __str__(self) -> str:
        return f"m16n8k{self.k} {self.form.name}"

    @property
    def groups(self) -> int:
        """Codes of a row of A."""
        return self.k // self.form.group

    @property
    def b_words(self) -> int:
        """32-bit words of a column of B; a row of A, compressed, has half of them."""
        return self.k * self.form.element_bits // 32

    @property
    def a_registers(self) -> int:
        """Registers of a lane for its part of A, and as many for B."""
        return self.b_words // 4

    @property
    def metadata_lanes(self) -> int:
        """Lanes of a quad that supply metadata: 1, 2 or 4."""
        return self.groups // 4

    @property
    def selectors(self) -> int:
        """Values that the selector of the instruction may have."""
        return 4 // self.metadata_lanes

    def check_selector(self, selector: int) -> None:
        """Refuse a selector that the instruction does not have."""
        if not 0 <= selector < self.selectors:
            raise ValueError(f"selector of {self} must be from 0 to {self.selectors - 1}, not {selector}")


SHAPES = tuple(
    Shape(form, bits // form.element_bits)
    for form in FORMATS.values()
    for bits in (256, 512)
    if not (form.name == "fp8" and bits == 256)
)
"""All that PTX has: the short form, B 256 bits deep, and the long form, 512 deep (fp8: the long one only)."""


def shape_of(dtype: str, k: int) -> Shape:
    """The shape m16n8k`k` of `dtype`; ValueError names the k that exist."""
    depths = {shape.k: shape for shape in SHAPES if shape.form.name == dtype}
    if not depths:
        raise ValueError(f"dtype must be one of {', '.join(FORMATS)}, not {dtype!r}")
    if k not in depths:
        raise ValueError(f"k must be {' or '.join(map(str, depths))} for mma.sp of {dtype}, not {k}")
    return depths[k]


def wgmma_columns(shape: Shape) -> tuple[int, ...]:
    """The n of wgmma.sp m64n`n`k`k`: none for int4 and for the short forms, fewer for int8."""
    if shape.form.name == "int4" or shape.b_words < 16:
        return ()
    return (8, 16, 24, *range(32, 257, 16)) if shape.form.name == "int8" else tuple(range(8, 257, 8))


def to_words(elements: npt.NDArray[Any], form: Format) -> Registers:
    """Elements (..., k) as 32-bit words (..., k * element_bits / 32), the first in the lowest bits.

    Elements are numbers or unsigned words of the format's width; int4 is one number from -8 to 15 each.
    """
    width = max(form.element_bits, 8) // 8
    if elements.dtype.kind not in "iuf" or elements.dtype.itemsize != width:
        raise ValueError(f"elements of {form.name} must be {8 * width} bits wide, not {elements.dtype}")
    if elements.shape[-1] * form.element_bits % 32:
        raise ValueError(f"elements of a row must fill 32-bit words, not be {elements.shape[-1]}")
    raw = np.ascontiguousarray(elements).view(f"u{width}")
    if form.element_bits == 4:
        if elements.size and not -8 <= elements.min() <= elements.max() <= 15:
            raise ValueError(f"int4 must be from -8 to 15, not {elements.min()} to {elements.max()}")
        raw = raw[..., 0::2] & np.uint8(0xF) | raw[..., 1::2] << np.uint8(4)
    return np.ascontiguousarray(raw).view("<u4").astype(np.uint32)


def from_words(words: Registers, form: Format) -> npt.NDArray[Any]:
    """The unsigned elements of `to_words`: (..., words) to (..., k); int4 as 0 to 15, one a byte."""
    width = max(form.element_bits, 8) // 8
    raw = np.ascontiguousarray(words, dtype="<u4").view(f"u{width}")
    if form.element_bits == 4:
        raw = np.stack([raw & 0xF, raw >> 4], axis=-1).reshape((*raw.shape[:-1], 2 * raw.shape[-1]))
    return raw


def a_to_lanes(words: Registers, shape: Shape) -> Registers:
    """Compressed rows (16, words) to (32, registers): row g or g + 8, word t or t + 4."""
    _refuse_shape("A", words, (ROWS, shape.b_words // 2))
    return words[_a_places(shape)]


def a_from_lanes(registers: Registers, shape: Shape) -> Registers:
    """Compressed rows (16, words) of the registers (32, registers)."""
    _refuse_shape("registers of A", registers, (LANES, shape.a_registers))
    words = np.empty((ROWS, shape.b_words // 2), dtype=np.uint32)
    words[_a_places(shape)] = registers
    return words


def b_to_lanes(words: Registers, shape: Shape) -> Registers:
    """Columns of B, each a row of words along k, (8, words) to (32, registers): column g, word 4 r + t."""
    _refuse_shape("B", words, (COLUMNS, shape.b_words))
    return words.reshape(COLUMNS, shape.a_registers, 4).swapaxes(1, 2).reshape(LANES, shape.a_registers)


def b_from_lanes(registers: Registers, shape: Shape) -> Registers:
    """Columns of B (8, words) of the registers (32, registers)."""
    _refuse_shape("registers of B", registers, (LANES, shape.a_registers))
    return registers.reshape(COLUMNS, 4, shape.a_registers).swapaxes(1, 2).reshape(COLUMNS, shape.b_words)


def c_to_lanes(matrix: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Accumulators (16, 8) to (32, 4): columns 2t and 2t + 1 of row g, then of row g + 8."""
    _refuse_shape("C", matrix, (ROWS, COLUMNS))
    return matrix[_c_places()]


def c_from_lanes(lanes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Accumulators (16, 8) of the lanes (32, 4)."""
    _refuse_shape("lanes of C", lanes, (LANES, 4))
    matrix = np.empty((ROWS, COLUMNS), dtype=lanes.dtype)
    matrix[_c_places()] = lanes
    return matrix


def metadata_to_lanes(
    codes: Codes, shape: Shape, selector: int = 0, registers: Registers | None = None
) -> Registers:
    """Codes (16, groups) of one tile to the lanes' metadata registers (32,).

    Only the lanes that `selector` names are written; the others keep `registers` (zeros if not given), so
    that calls with every selector fill one register with the metadata of as many instructions.
    """
    _refuse_shape("codes", codes, (ROWS, shape.groups))
    lane, nibble = _metadata_places(shape, selector)
    filled = np.zeros(LANES, dtype=np.uint32) if registers is None else registers.astype(np.uint32)
    filled[np.unique(lane)] = 0
    np.bitwise_or.at(filled, lane, codes.astype(np.uint32) << nibble)
    return filled


def metadata_from_lanes(registers: Registers, shape: Shape, selector: int = 0) -> Codes:
    """Codes (16, groups) that the instruction finds in the lanes' metadata registers (32,)."""
    _refuse_shape("registers of metadata", registers, (LANES,))
    lane, nibble = _metadata_places(shape, selector)
    return (registers.astype(np.uint32)[lane] >> nibble & np.uint32(0xF)).astype(np.uint8)


def _metadata_places(shape: Shape, selector: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Lane and shift of the code of every row and group: two arrays (16, groups)."""
    shape.check_selector(selector)
    row, group = np.indices((ROWS, shape.groups))
    lower = row // 8
    if shape.form.word_bits == 16:
        # A register holds both rows of a lane, four codes of each.
        lane, nibble = group // 4, 4 * lower + group % 4
    else:
        # A register holds one row, eight codes of it.
        lane, nibble = 2 * (group // 8) + lower, group % 8
    return row % 8 * 4 + selector * shape.metadata_lanes + lane, (4 * nibble).astype(np.uint32)


def _a_places(shape: Shape) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    lane, register = np.indices((LANES, shape.a_registers))
    return lane // 4 + 8 * (register % 2), lane % 4 + 4 * (register // 2)


def _c_places() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    lane, element = np.indices((LANES, 4))
    return lane // 4 + 8 * (element // 2), 2 * (lane % 4) + element % 2


def _refuse_shape(name: str, array: npt.NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"{name} must have the shape {shape}, not {array.shape}")
