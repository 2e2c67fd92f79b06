"""Metadata of a 2:4 matrix in memory: codes in words, in plain order and in that of CUTLASS and PyTorch.

Plain order is row by row, the first group in the lowest four bits. CUTLASS's order lets every lane of a warp
load its register of `mma.sp` with one aligned 32-bit read: rows of a block are dealt out to the lanes, 2 x 2
words are transposed and two columns interleave (`reorder_meta`, `ColumnMajorInterleaved<2>`). PyTorch keeps
that buffer in a matrix whose rows and columns mean nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.fragments import LANES
from accelsim.golden.two_four import BITS_OF_A_CODE, Codes, Format

Words = npt.NDArray[np.uint32]
"""Metadata words, of 16 bits in the lower half or of 32."""


def pack_codes(codes: Codes, word_bits: int) -> Words:
    """Words of 16 or 32 bits along the last axis, the first code in the lowest bits."""
    per_word = _codes_of_a_word(word_bits)
    if codes.shape[-1] % per_word:
        raise ValueError(f"codes of a row must fill {word_bits}-bit words, not be {codes.shape[-1]}")
    nibbles = codes.reshape((*codes.shape[:-1], -1, per_word)).astype(np.uint32)
    words: Words = np.bitwise_or.reduce(nibbles << _shifts(per_word), axis=-1)
    return words


def unpack_codes(words: npt.NDArray[Any], word_bits: int) -> Codes:
    """The codes of `pack_codes`: (..., words) to (..., codes)."""
    per_word = _codes_of_a_word(word_bits)
    nibbles = words.astype(np.uint32)[..., None] >> _shifts(per_word) & np.uint32(0xF)
    return nibbles.astype(np.uint8).reshape((*words.shape[:-1], words.shape[-1] * per_word))


def to_cutlass(codes: Codes, form: Format) -> npt.NDArray[np.signedinteger[Any]]:
    """Codes (rows, groups) as PyTorch's `meta_reordered`: (rows, words), int16 or int32 as `form` has it.

    Rows come in multiples of 32 (16-bit words) or 16 (32-bit words), words of a row in pairs; ValueError if
    not.
    """
    words = pack_codes(codes, form.word_bits)
    flat = np.empty(words.size, dtype=f"u{form.word_bits // 8}")
    flat[_places(words.shape, form.word_bits)] = words
    return flat.reshape(words.shape).view(f"i{form.word_bits // 8}")


def from_cutlass(metadata: npt.NDArray[np.signedinteger[Any]], form: Format) -> Codes:
    """Codes (rows, groups) of PyTorch's `meta_reordered` (rows, words)."""
    unsigned = _words_of(metadata, form).ravel()
    words = unsigned[_places(metadata.shape, form.word_bits)]
    return unpack_codes(words, form.word_bits)


def warp_registers(metadata: npt.NDArray[np.signedinteger[Any]], form: Format) -> Words:
    """PyTorch's `meta_reordered` as what the lanes load: (blocks along k, blocks of rows, 32 lanes).

    A block is 32 rows (16-bit words) or 16 rows (32-bit words) deep and two words wide: two instructions of
    the long form with selectors 0 and 1 for rows 0-15 and 16-31, or one with selector 0
    (`accelsim.golden.fragments`).
    """
    _places(metadata.shape, form.word_bits)  # refuses what is no whole number of blocks
    unsigned = _words_of(metadata, form)
    rows, columns = unsigned.shape
    block = 32 if form.word_bits == 16 else 16
    return unsigned.ravel().view("<u4").reshape(columns // 2, rows // block, LANES).astype(np.uint32)


def _places(shape: tuple[int, ...], word_bits: int) -> npt.NDArray[np.int64]:
    """Where in CUTLASS's buffer each word of the plain matrix stands: (rows, columns)."""
    if len(shape) != 2:
        raise ValueError(f"metadata must be a matrix of words, not of shape {shape}")
    rows, columns = shape
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
    return np.asarray(column // 2 * rows * 2 + lane * 2 + column % 2)


def _words_of(metadata: npt.NDArray[np.signedinteger[Any]], form: Format) -> npt.NDArray[Any]:
    """The matrix without signs; refuses another width or rank."""
    if metadata.ndim != 2 or metadata.dtype.kind not in "iu" or metadata.dtype.itemsize * 8 != form.word_bits:
        raise ValueError(
            f"metadata of {form.name} must be a matrix of int{form.word_bits}, "
            f"not {metadata.dtype} of shape {metadata.shape}"
        )
    return np.ascontiguousarray(metadata).view(f"u{form.word_bits // 8}")


def _codes_of_a_word(word_bits: int) -> int:
    if word_bits not in (16, 32):
        raise ValueError(f"a metadata word must have 16 or 32 bits, not {word_bits}")
    return word_bits // BITS_OF_A_CODE


def _shifts(count: int) -> Words:
    return np.arange(count, dtype=np.uint32) * np.uint32(BITS_OF_A_CODE)
