"""Sparse formats: one bit per element, rows with indices, N:M groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Bitmap:
    """A boolean array of any shape, packed to one bit an element (little-endian within a byte, C order)."""

    shape: tuple[int, ...]
    bits: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        size = int(np.prod(self.shape, dtype=np.int64))
        if self.bits.dtype != np.uint8 or self.bits.shape != ((size + 7) // 8,):
            raise ValueError(f"a bitmap of shape {self.shape} must have {(size + 7) // 8} bytes")

    @classmethod
    def pack(cls, kept: npt.NDArray[np.bool_]) -> Bitmap:
        """Pack a boolean array."""
        return cls(tuple(int(n) for n in kept.shape), np.packbits(kept.ravel(), bitorder="little"))

    def unpack(self) -> npt.NDArray[np.bool_]:
        """The boolean array."""
        size = int(np.prod(self.shape, dtype=np.int64))
        flat = np.unpackbits(self.bits, count=size, bitorder="little")
        return flat.view(np.bool_).reshape(self.shape)

    @property
    def kept(self) -> int:
        """Number of ones."""
        return int(np.unpackbits(self.bits, count=int(np.prod(self.shape, dtype=np.int64)), bitorder="little").sum())
