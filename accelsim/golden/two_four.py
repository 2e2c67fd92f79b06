"""The 2:4 format of sparse tensor cores: two values and a 4-bit code for every four elements.

A code holds the position of the first stored value in its low two bits and that of the second in its
high two bits (PTX ISA, mma.sp). Codes and filler are those of PyTorch's semi-structured conversion;
unlike it, a group with more than two non-zeros is refused instead of cut.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.formats import aligned_groups, refuse_full_groups

ORDERED_CODES = (0x4, 0x8, 0xC, 0x9, 0xD, 0xE)
"""First position below the second: all that mma.sp::ordered_metadata takes."""

LEGAL_CODES = tuple(code for code in range(16) if code & 3 != code >> 2)
"""Two different positions in either order: what plain mma.sp takes."""

FILLED_CODES = {
    (): 0xE,
    (0,): 0x8,
    (1,): 0x9,
    (2,): 0xE,
    (3,): 0xE,
    (0, 1): 0x4,
    (0, 2): 0x8,
    (0, 3): 0xC,
    (1, 2): 0x9,
    (1, 3): 0xD,
    (2, 3): 0xE,
}
"""From the positions of a group's non-zeros to its code; fewer than two are filled with stored zeros."""

BITS_OF_A_CODE = 4


def encode(weights: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """Values (..., groups, 2) in ascending position and codes (..., groups) of an array that is 2:4.

    Groups of four lie along the last axis; a ragged last one is padded with zeros.
    Raises ValueError naming the first group that keeps more than two.
    """
    groups = aligned_groups(weights, 4)
    refuse_full_groups(groups, 2, 4)
    occupied = np.packbits(groups != 0, axis=-1, bitorder="little")[..., 0]
    codes = _code_of_occupancy()[occupied]
    return np.take_along_axis(groups, _positions(codes), axis=-1), codes


def decode(values: npt.NDArray[Any], codes: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """The dense array (..., 4 * groups); refuses codes other than the twelve legal ones."""
    legal = np.isin(codes, LEGAL_CODES)
    if not legal.all():
        place = tuple(int(i) for i in np.argwhere(~legal)[0])
        raise ValueError(
            f"a 2:4 code must name two different positions, not {codes[place]:#x} (group {place})"
        )
    groups = np.zeros((*codes.shape, 4), dtype=values.dtype)
    np.put_along_axis(groups, _positions(codes), values, axis=-1)
    return groups.reshape((*codes.shape[:-1], codes.shape[-1] * 4))


def pack_codes(codes: npt.NDArray[np.uint8], word_bits: int) -> npt.NDArray[np.uint32]:
    """Words of 16 or 32 bits along the last axis, the first code in the lowest bits."""
    if word_bits not in (16, 32):
        raise ValueError(f"a metadata word must have 16 or 32 bits, not {word_bits}")
    per_word = word_bits // BITS_OF_A_CODE
    if codes.shape[-1] % per_word:
        raise ValueError(f"codes of a row must fill {word_bits}-bit words, not be {codes.shape[-1]}")
    nibbles = codes.reshape((*codes.shape[:-1], -1, per_word)).astype(np.uint32)
    shifts = np.arange(per_word, dtype=np.uint32) * np.uint32(BITS_OF_A_CODE)
    words: npt.NDArray[np.uint32] = np.bitwise_or.reduce(nibbles << shifts, axis=-1)
    return words


def lane_order(words: npt.NDArray[np.uint32], word_bits: int) -> npt.NDArray[np.uint32]:
    """Metadata words (rows, columns) in the order in which the lanes of a warp load them, flat.

    The order of CUTLASS's reordered metadata (ColumnMajorInterleaved<2>): rows of a block are dealt out
    to the lanes, 2 x 2 words are transposed, two columns interleave. 16-bit words need rows in multiples
    of 32, 32-bit words of 16; columns are even.
    """
    rows, columns = words.shape
    block, interleave = (32, 4) if word_bits == 16 else (16, 2)
    if rows % block or columns % 2:
        raise ValueError(
            f"metadata must be a multiple of {block} rows by 2 columns of words, not {rows} by {columns}"
        )
    row, column = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    lane = row // block * block + row % 8 * interleave + row % block // 8
    # Swap the off-diagonal words of each 2 x 2 square.
    down = (lane % 2 == 0) & (column % 2 == 1)
    up = (lane % 2 == 1) & (column % 2 == 0)
    lane = lane + down - up
    column = column - down + up
    flat = np.empty(rows * columns, dtype=np.uint32)
    flat[column // 2 * rows * 2 + lane * 2 + column % 2] = words
    return flat


def _positions(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Positions of the two stored values: (...) to (..., 2)."""
    return np.stack([codes & 3, codes >> 2], axis=-1).astype(np.int64)


def _code_of_occupancy() -> npt.NDArray[np.uint8]:
    """The table of FILLED_CODES, addressed by one bit per non-zero."""
    table = np.zeros(16, dtype=np.uint8)
    for positions, code in FILLED_CODES.items():
        table[sum(1 << position for position in positions)] = code
    return table
