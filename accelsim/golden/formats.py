"""Sparse formats: one bit per element, rows with column numbers, groups of M that keep N."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.topk import top_k_mask


@dataclass(frozen=True, eq=False)
class Bitmap:
    """A boolean array of any shape, packed to one bit an element (little-endian within a byte, C order)."""

    shape: tuple[int, ...]
    bits: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        if any(length < 0 for length in self.shape):
            raise ValueError(f"a bitmap's shape must be of lengths >= 0, not {self.shape}")
        if self.bits.dtype != np.uint8 or self.bits.shape != ((self.size + 7) // 8,):
            raise ValueError(f"a bitmap of shape {self.shape} must have {(self.size + 7) // 8} bytes")

    @property
    def size(self) -> int:
        """Number of elements. Python integers: a product of hostile lengths must not wrap to a small one."""
        return prod(int(length) for length in self.shape)

    @classmethod
    def pack(cls, kept: npt.NDArray[np.bool_]) -> Bitmap:
        """Pack a boolean array."""
        return cls(tuple(int(n) for n in kept.shape), np.packbits(kept.ravel(), bitorder="little"))

    def unpack(self) -> npt.NDArray[np.bool_]:
        """The boolean array."""
        flat = np.unpackbits(self.bits, count=self.size, bitorder="little")
        return flat.view(np.bool_).reshape(self.shape)

    @property
    def kept(self) -> int:
        """Number of ones."""
        return int(np.count_nonzero(self.unpack()))


@dataclass(frozen=True, kw_only=True, eq=False)
class Csr:
    """Compressed sparse rows of a matrix: its non-zeros row by row, columns ascending.

    `row_starts` (rows + 1,): row r owns values[row_starts[r] : row_starts[r + 1]] and their columns.
    """

    shape: tuple[int, int]
    values: npt.NDArray[Any]
    columns: npt.NDArray[np.int32]
    row_starts: npt.NDArray[np.int64]

    @classmethod
    def encode(cls, dense: npt.NDArray[Any]) -> Csr:
        """Store the non-zeros of a matrix (minus zero is a zero)."""
        if dense.ndim != 2:
            raise ValueError(f"CSR must hold a matrix, not an array of shape {dense.shape}")
        rows, columns = np.nonzero(dense)
        row_starts = np.zeros(dense.shape[0] + 1, dtype=np.int64)
        np.cumsum(np.bincount(rows, minlength=dense.shape[0]), out=row_starts[1:])
        shape = (int(dense.shape[0]), int(dense.shape[1]))
        return cls(
            shape=shape,
            values=dense[rows, columns],
            columns=columns.astype(np.int32),
            row_starts=row_starts,
        )

    def decode(self) -> npt.NDArray[Any]:
        """The dense matrix."""
        dense = np.zeros(self.shape, dtype=self.values.dtype)
        rows = np.repeat(np.arange(self.shape[0]), np.diff(self.row_starts))
        dense[rows, self.columns] = self.values
        return dense


@dataclass(frozen=True, kw_only=True, eq=False)
class NM:
    """N values of every aligned group of M along the last axis, with their indices in the group.

    values, indices: (..., groups, N), indices ascending within a group. `length`: elements of the dense axis.
    A ragged last group is padded with zeros. A group with fewer than N non-zeros is filled with
    explicit zeros at its lowest free positions (the tie rule of `select_nm` on zeros).
    """

    n: int
    m: int
    length: int
    values: npt.NDArray[Any]
    indices: npt.NDArray[np.uint16]

    @classmethod
    def encode(cls, weights: npt.NDArray[Any], n: int, m: int) -> NM:
        """Compress an array that satisfies N:M already; ValueError names the first group that does not."""
        check_pattern(n, m)
        groups = aligned_groups(weights, m)
        refuse_full_groups(groups, n, m)
        # Magnitude 1 for a non-zero: the values that must stay outrank the filler whatever their size.
        kept = top_k_mask((groups != 0).view(np.uint8), n)
        shape = (*groups.shape[:-1], n)
        indices = np.nonzero(kept)[-1].astype(np.uint16).reshape(shape)
        values = groups[kept].reshape(shape)
        return cls(n=n, m=m, length=int(weights.shape[-1]), values=values, indices=indices)

    def decode(self) -> npt.NDArray[Any]:
        """The dense array, padding removed."""
        *outer, groups, _ = self.values.shape
        dense = np.zeros((*outer, groups, self.m), dtype=self.values.dtype)
        np.put_along_axis(dense, self.indices.astype(np.int64), self.values, axis=-1)
        return dense.reshape((*outer, groups * self.m))[..., : self.length]


def select_nm(weights: npt.NDArray[Any], n: int, m: int) -> npt.NDArray[np.bool_]:
    """True for the N largest magnitudes of every aligned group of M along the last axis.

    The lowest index wins a tie (the selection unit replaces only by a strictly larger magnitude).
    A ragged last group of r elements keeps min(N, r).
    """
    check_pattern(n, m)
    # Padding is the weakest and stands last, so it takes no place from a real element.
    kept = top_k_mask(aligned_groups(_magnitudes(weights), m), n)
    return kept.reshape((*kept.shape[:-2], kept.shape[-2] * m))[..., : weights.shape[-1]]


def reduce_nm(words: npt.NDArray[Any], n: int, m: int, bits: int = 16) -> NM:
    """What the selection unit makes of numbers of `bits` bits, the highest of them the sign.

    words: (..., length), unsigned integers that hold the bits of FP16, BF16, FP8 or FP32 numbers. Magnitudes
    are compared as integers, so that the order is that of `select_nm`, and NaN, which `select_nm` refuses,
    stands above infinity: it is kept and seen, not pruned away. Kept words are as they came, minus zero too.
    """
    kept = select_nm(words & words.dtype.type((1 << (bits - 1)) - 1), n, m)
    return NM.encode(np.where(kept, words, words.dtype.type(0)), n, m)


def nm_pattern(mask: npt.NDArray[np.bool_], m_values: Sequence[int]) -> dict[int, int]:
    """For each M the smallest N such that the mask is N:M: the most ones in any aligned group.

    Groups lie along the last axis, the ragged last one counts as padded. An empty mask is 0:M.
    """
    return {m: _most_in_a_group(mask, m) for m in m_values}


def mostly_keeps(mask: npt.NDArray[np.bool_], n: int, m: int) -> bool:
    """Do at least half of the whole aligned groups of M along the last axis keep just N?"""
    whole = mask.shape[-1] // m * m
    counts = mask[..., :whole].reshape(*mask.shape[:-1], -1, m).sum(axis=-1)
    return counts.size == 0 or float((counts == n).mean()) >= 0.5


def check_pattern(n: int, m: int) -> None:
    """Refuse an N:M that means nothing."""
    if not 1 <= n <= m <= np.iinfo(np.uint16).max:
        raise ValueError(f"N:M must have 1 <= N <= M <= 65535, not {n}:{m}")


def aligned_groups(array: npt.NDArray[Any], m: int) -> npt.NDArray[Any]:
    """Cut the last axis in groups of M: (..., length) to (..., groups, M), the last group zero-padded."""
    if array.ndim == 0:
        raise ValueError("groups must be cut from an array of at least one axis, not from a scalar")
    length = array.shape[-1]
    missing = -length % m
    if missing:
        widths = [(0, 0)] * (array.ndim - 1) + [(0, missing)]
        array = np.pad(array, widths)
    return array.reshape((*array.shape[:-1], (length + missing) // m, m))


def refuse_full_groups(groups: npt.NDArray[Any], n: int, m: int) -> None:
    """Raise ValueError naming the first group of (..., groups, M) with more than N non-zeros."""
    counts = np.count_nonzero(groups, axis=-1)
    if counts.size and counts.max() > n:
        *row, group = (int(i) for i in np.argwhere(counts > n)[0])
        raise ValueError(
            f"{n}:{m} groups must keep at most {n} of {m}, not {counts[(*row, group)]} "
            f"(row {tuple(row)}, elements {group * m} to {group * m + m - 1})"
        )


def _magnitudes(weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Absolute values in a type that can hold and quickly rank them."""
    wide = weights.astype(np.float32) if weights.dtype == np.float16 else weights
    magnitudes: npt.NDArray[Any] = np.abs(wide)
    if np.issubdtype(wide.dtype, np.signedinteger):
        # The most negative integer is its own absolute value, and right when read without a sign.
        return magnitudes.view(f"u{wide.dtype.itemsize}")
    return magnitudes


def _most_in_a_group(mask: npt.NDArray[np.bool_], m: int) -> int:
    """Most ones in any aligned group of M along the last axis."""
    if m < 1:
        raise ValueError(f"M must be at least 1, not {m}")
    if mask.size == 0:
        return 0
    ones = mask.astype(np.bool_, copy=False).view(np.uint8)
    length = ones.shape[-1]
    counts = np.zeros((*ones.shape[:-1], -(-length // m)), dtype=np.uint8 if m < 256 else np.int64)
    # One strided addition per position of a group: far fewer calls than one sum per group.
    for position in range(min(m, length)):
        column = ones[..., position::m]
        counts[..., : column.shape[-1]] += column
    return int(counts.max())
