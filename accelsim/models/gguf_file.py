"""GGUF files: what stands in the header, and tensors as float32.

Format: the public specification of GGUF, versions 2 and 3, little-endian. Every length is checked against the
file before it is used, so a file from a stranger costs no more than its own size.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Types of metadata that are one number, as `struct` calls them."""
STRING, ARRAY = 8, 9
DEFAULT_ALIGNMENT = 32
MOST_DIMENSIONS = 4


class GgufError(ValueError):
    """A file that is no GGUF, or not a whole one, in one line that names it."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A tensor as it lies in the file: `shape` with the outermost axis first, `kind` of the elements."""

    shape: tuple[int, ...]
    kind: int
    start: int


@dataclass(frozen=True, kw_only=True)
class Gguf:
    """An open file: `metadata` by key (arrays as tuples) and the tensors by name."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, Stored]

    def tensor(self, name: str) -> npt.NDArray[np.float32]:
        """One tensor, dequantised to float32. GgufError if its type is unknown or it is cut short."""
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
        from gguf.quants import dequantize

        stored = self.tensors[name]
        try:
            kind = GGMLQuantizationType(stored.kind)
        except ValueError:
            raise GgufError(f"{self.path}: tensor {name!r} has the unknown type {stored.kind}") from None
        block, block_bytes = GGML_QUANT_SIZES[kind]
        if stored.shape[-1] % block:
            raise GgufError(f"{self.path}: rows of {name!r} must be multiples of {block} elements")
        size = prod(stored.shape) // block * block_bytes
        if stored.start + size > self.path.stat().st_size:
            raise GgufError(f"{self.path} is cut short: tensor {name!r} does not lie inside the file")
        raw = np.fromfile(self.path, np.uint8, size, offset=stored.start)
        try:
            values = dequantize(raw.reshape(*stored.shape[:-1], -1), kind)
        except NotImplementedError:
            raise GgufError(f"{self.path}: tensors of type {kind.name} cannot be read") from None
        return np.ascontiguousarray(values.reshape(stored.shape), dtype=np.float32)


def read(path: Path) -> Gguf:
    """The header of a GGUF file; tensors are read when they are asked for. Raises GgufError."""
    content = np.memmap(path, np.uint8, mode="r").data if path.stat().st_size else memoryview(b"")
    reader = _Reader(path, content)
    if bytes(content[:4]) != b"GGUF":
        raise GgufError(f"{path} is no GGUF file: it does not begin with GGUF")
    reader.place = 4
    version = reader.number("I")
    if version not in (2, 3):
        raise GgufError(f"{path}: GGUF version must be 2 or 3, little-endian, not {version}")
    tensors, pairs = reader.number("Q"), reader.number("Q")
    metadata = {}
    for _ in range(pairs):
        key = reader.text()
        metadata[key] = reader.value(reader.number("I"))
    headers = [reader.tensor() for _ in range(tensors)]
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise GgufError(f"{path}: general.alignment must be a number above 0, not {alignment!r}")
    start = -(-reader.place // alignment) * alignment
    stored = {
        name: Stored(shape=shape, kind=kind, start=start + offset) for name, shape, kind, offset in headers
    }
    return Gguf(path=path, metadata=metadata, tensors=stored)


class _Reader:
    """A place in the file that only moves forward, and never past the end."""

    def __init__(self, path: Path, content: memoryview) -> None:
        self.path, self.content, self.place = path, content, 0

    def take(self, size: int) -> memoryview:
        if size > len(self.content) - self.place:
            raise GgufError(f"{self.path} is cut short: its header ends at byte {len(self.content)}")
        self.place += size
        return self.content[self.place - size : self.place]

    def number(self, kind: str) -> Any:
        return struct.unpack("<" + kind, self.take(struct.calcsize("<" + kind)))[0]

    def text(self) -> str:
        return str(self.take(self.number("Q")), "utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind in SCALARS:
            return self.number(SCALARS[kind])
        if kind == STRING:
            return self.text()
        if kind != ARRAY:
            raise GgufError(f"{self.path}: metadata has the unknown type {kind}")
        inner, count = self.number("I"), self.number("Q")
        if inner in SCALARS:
            letter = SCALARS[inner]
            size = struct.calcsize("<" + letter) * count
            return tuple(np.frombuffer(self.take(size), np.dtype(letter).newbyteorder("<")).tolist())
        if inner != STRING:
            raise GgufError(f"{self.path}: arrays in the metadata must hold numbers or texts")
        # A text takes at least its length, so a count that cannot fit fails before long.
        return tuple(self.text() for _ in range(count))

    def tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        name, dimensions = self.text(), self.number("I")
        if not 1 <= dimensions <= MOST_DIMENSIONS:
            raise GgufError(f"{self.path}: tensor {name!r} must have 1 to 4 dimensions, not {dimensions}")
        shape = tuple(self.number("Q") for _ in range(dimensions))
        if not all(0 < size < 2**40 for size in shape):
            raise GgufError(f"{self.path}: tensor {name!r} has the impossible shape {shape}")
        return name, shape[::-1], self.number("I"), self.number("Q")
