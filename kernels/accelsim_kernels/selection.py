"""Selections: N of M weights by SORE's rule, along one axis or both at once; top-k by the engine's tie rule.

Of equal magnitudes, and of equal scores, the lowest index wins. Magnitudes are compared as the bits of the
number without its sign, as the hardware does it: NaN stands above infinity and is kept, so that it is seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import prange

from accelsim.golden.formats import NM
from accelsim_kernels.compiled import inlined, parallel
from accelsim_kernels.packing import READABLE, Pattern, element_of

Array = npt.NDArray[Any]

DIGIT_BITS = 8
"""Of a key, in each pass of a radix selection."""

DIGITS = 1 << DIGIT_BITS


def select_nm(weights: Array, n: int, m: int) -> NM:
    """The N largest magnitudes of every aligned group of M along the last axis of (rows, length).

    Elements as `packing.pack` takes them. Equal to `golden.formats.reduce_nm` of their bits.
    """
    words, sign = _words(weights)
    pattern = Pattern(n=n, m=m, length=words.shape[1])
    kept = _kept(words, words.shape[0], pattern.groups, n)
    _select_rows(words, sign, m, *kept)
    return _formed(kept, weights.dtype, pattern)


def select_both(weights: Array, n: int, m: int) -> tuple[NM, NM]:
    """N:M along the inputs and along the outputs of (outputs, inputs), from one reading.

    The second is of the transposed weights, as the backward product reads them: (inputs, groups of outputs).
    """
    words, sign = _words(weights)
    rows, columns = words.shape
    across, down = (Pattern(n=n, m=m, length=length) for length in (columns, rows))
    forward = _kept(words, rows, across.groups, n)
    backward = _kept(words, columns, down.groups, n)
    _select_blocks(words, sign, m, *forward, *backward)
    return _formed(forward, weights.dtype, across), _formed(backward, weights.dtype, down)


def top_k_mask(scores: Array, k: int) -> npt.NDArray[np.bool_]:
    """True for the k largest of each row of (..., n), the lowest index of equals, as golden has it.

    Integers or floats of up to 64 bits. ValueError for k outside 1 to n, and for NaN.
    """
    length = scores.shape[-1] if scores.ndim else 0
    if not 1 <= k <= length:
        raise ValueError(f"k must be between 1 and the {length} values of a row, not {k}")
    keys, digits = _keys(scores)
    kept = np.zeros((keys.size // length, length), np.bool_)
    _top_k(keys.reshape(-1, length), k, digits, kept)
    return kept.reshape(scores.shape)


def top_k_indices(scores: Array, k: int) -> npt.NDArray[np.int64]:
    """Ascending positions of the k largest of each row: (..., n) to (..., k)."""
    kept = top_k_mask(scores, k)
    return np.nonzero(kept)[-1].reshape((*scores.shape[:-1], k))


def _words(weights: Array) -> tuple[Array, int]:
    """Bits of a matrix, and the mask that clears their sign; 0 where they are integers."""
    if weights.ndim != 2:
        raise ValueError(f"weights to select must be of a matrix, not of {weights.ndim} axes")
    element = element_of(weights.dtype)
    weights = np.require(weights, requirements=READABLE)
    if element == "int8":
        return weights, 0
    bits = 8 * weights.dtype.itemsize
    return weights.view(f"u{weights.dtype.itemsize}"), (1 << (bits - 1)) - 1


def _kept(words: Array, rows: int, groups: int, n: int) -> tuple[Array, Array]:
    """Room for values and indices."""
    return np.zeros((rows, groups, n), words.dtype), np.zeros((rows, groups, n), np.uint16)


def _formed(kept: tuple[Array, Array], kind: np.dtype[Any], pattern: Pattern) -> NM:
    values, indices = kept
    return NM(n=pattern.n, m=pattern.m, length=pattern.length, values=values.view(kind), indices=indices)


def _keys(scores: Array) -> tuple[npt.NDArray[np.uint64], int]:
    """Unsigned keys in the order of the scores, and how many digits they have."""
    bits = 8 * scores.dtype.itemsize
    if np.issubdtype(scores.dtype, np.floating):
        if np.isnan(scores).any():
            raise ValueError("values to rank must be numbers, not NaN")
        # Minus zero becomes zero. A negative number's bits fall as it rises.
        words = np.ascontiguousarray(scores + scores.dtype.type(0)).view(f"u{scores.dtype.itemsize}")
        sign = words.dtype.type(1 << (bits - 1))
        keys = np.where(words & sign, ~words, words | sign)
    elif np.issubdtype(scores.dtype, np.signedinteger):
        keys = np.ascontiguousarray(scores).view(f"u{scores.dtype.itemsize}") ^ np.array(
            1 << (bits - 1), f"u{scores.dtype.itemsize}"
        )
    else:
        keys = scores
    return np.require(keys, np.uint64, READABLE), -(-bits // DIGIT_BITS)


@inlined
def _magnitude(word, sign):
    return np.int64(word) & sign if sign else abs(np.int64(word))


@inlined
def _chosen(words, sign, row, column, rows, columns, row_step, column_step, n, m):
    """Bits of the n largest of m words from (row, column) on; what lies beyond the matrix is 0."""
    chosen = np.uint32(0)
    for _ in range(n):
        best, place = np.int64(-1), 0
        for index in range(m):
            magnitude = np.int64(0)
            r, c = row + index * row_step, column + index * column_step
            if r < rows and c < columns:
                magnitude = _magnitude(words[r, c], sign)
            if magnitude > best and not (chosen >> np.uint32(index)) & np.uint32(1):
                best, place = magnitude, index
        chosen |= np.uint32(1) << np.uint32(place)
    return chosen


@inlined
def _write(words, chosen, row, column, rows, columns, row_step, column_step, m, values, indices):
    """The chosen words in order; values and indices: (n,)."""
    count = 0
    for index in range(m):
        if (chosen >> np.uint32(index)) & np.uint32(1):
            r, c = row + index * row_step, column + index * column_step
            if r < rows and c < columns:
                values[count] = words[r, c]
            indices[count] = index
            count += 1


@parallel
def _select_rows(words, sign, m, values, indices):
    rows, columns = words.shape
    groups, n = values.shape[1:]
    for row in prange(rows):
        for group in range(groups):
            place = (row, group * m, rows, columns, 0, 1)
            chosen = _chosen(words, sign, *place, n, m)
            _write(words, chosen, *place, m, values[row, group], indices[row, group])


@parallel
def _select_blocks(words, sign, m, values, indices, back_values, back_indices):
    """M x M block by block: its rows' groups lie along the inputs, its columns' along the outputs."""
    rows, columns = words.shape
    n = values.shape[2]
    for stripe in prange((rows + m - 1) // m):
        for group in range((columns + m - 1) // m):
            for row in range(stripe * m, min(rows, stripe * m + m)):
                place = (row, group * m, rows, columns, 0, 1)
                chosen = _chosen(words, sign, *place, n, m)
                _write(words, chosen, *place, m, values[row, group], indices[row, group])
            for column in range(group * m, min(columns, group * m + m)):
                place = (stripe * m, column, rows, columns, 1, 0)
                chosen = _chosen(words, sign, *place, n, m)
                _write(words, chosen, *place, m, back_values[column, stripe], back_indices[column, stripe])


@inlined
def kth_and_quota(keys, k, digits, counts):
    """The k-th largest of a row of unsigned keys, and how many of its equals are kept: digit by digit.

    counts: room for `DIGITS` integers.
    """
    prefix, mask, quota = np.uint64(0), np.uint64(0), k
    for digit in range(digits - 1, -1, -1):
        shift = np.uint64(digit * DIGIT_BITS)
        counts[:] = 0
        for index in range(keys.shape[0]):
            if (np.uint64(keys[index]) & mask) == prefix:
                counts[(np.uint64(keys[index]) >> shift) & np.uint64(DIGITS - 1)] += 1
        value = DIGITS - 1
        while counts[value] < quota:
            quota -= counts[value]
            value -= 1
        prefix |= np.uint64(value) << shift
        mask |= np.uint64(DIGITS - 1) << shift
    return prefix, quota


@parallel
def _top_k(keys, k, digits, kept):
    rows, length = keys.shape
    for row in prange(rows):
        counts = np.empty(DIGITS, np.int64)
        kth, quota = kth_and_quota(keys[row], k, digits, counts)
        for index in range(length):
            key = keys[row, index]
            if key > kth:
                kept[row, index] = True
            elif key == kth and quota > 0:
                kept[row, index] = True
                quota -= 1
