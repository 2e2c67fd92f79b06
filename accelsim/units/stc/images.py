"""Memory images of a GEMM: operands padded to whole tiles, and D out of what was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.fragments import COLUMNS, ROWS
from accelsim.golden.metadata import to_cutlass
from accelsim.golden.two_four import encode
from accelsim.units.stc.gemm import LINE_BYTES, PASSES_OF_A_RUN, WORDS_OF_A_LINE, Gemm, Job
from accelsim.units.step import unpack


@dataclass(frozen=True, kw_only=True)
class Images:
    """A job, the lines of its images by port, and the shape of its result (rows of A, columns of B)."""

    job: Job
    lines: Mapping[str, list[int]]
    shape: tuple[int, int]

    def result(self, written: Mapping[int, int]) -> npt.NDArray[np.uint32]:
        """Words of D of the lines (by their addresses) that the machine wrote, without the padding."""
        pitch = self.job.row_tiles * ROWS // WORDS_OF_A_LINE
        lines = [written[self.job.d + place] for place in range(pitch * self.job.column_tiles * COLUMNS)]
        words = np.array([unpack(line, 32, WORDS_OF_A_LINE) for line in lines], np.uint32)
        rows, columns = self.shape
        return words.reshape(-1, pitch * WORDS_OF_A_LINE)[:columns, :rows].T


def images(
    parameters: Gemm, a: npt.NDArray[Any], b: npt.NDArray[Any], *, sparse: bool, base: int = 0
) -> Images:
    """Images of A (rows, k) and B (columns, k), one behind the other from line `base` on.

    Elements are numbers or raw words, as wide as those of the tile engine; ValueError if not.
    sparse: A is stored 2:4; ValueError names the first group that holds more. Edges are padded with zeros:
    rows to 16, of sparse fp16 to 32, columns to 8, k to 64 bytes if sparse, else to 16.
    """
    for name, matrix in (("A", a), ("B", b)):
        if matrix.dtype.itemsize * 8 != parameters.element_bits:
            raise ValueError(
                f"elements of {name} must be {parameters.element_bits} bits wide, not {matrix.dtype}"
            )
    line = LINE_BYTES // a.dtype.itemsize
    k = 2 * PASSES_OF_A_RUN * line if sparse else line
    left = _padded(a, ROWS * parameters.metadata_tiles if sparse else ROWS, k)
    right = _padded(b, COLUMNS, k)
    lines = {"b": _lines(right)}
    if sparse:
        values, codes = encode(left, parameters.form)
        lines["a"] = _lines(values.reshape(len(left), -1))
        lines["codes"] = _lines(to_cutlass(codes, parameters.form))
    else:
        lines["a"] = _lines(left)
    begins, place = {}, base
    for name in ("a", "b", "codes"):
        begins[name] = place
        place += len(lines.get(name, []))
    job = Job(
        row_tiles=len(left) // ROWS,
        column_tiles=len(right) // COLUMNS,
        passes=left.shape[1] // (2 * line if sparse else line),
        sparse=sparse,
        d=place,
        **begins,
    )
    return Images(job=job, lines=lines, shape=(len(a), len(b)))


def _padded(matrix: npt.NDArray[Any], rows: int, columns: int) -> npt.NDArray[Any]:
    return np.pad(matrix, ((0, -len(matrix) % rows), (0, -matrix.shape[1] % columns)))


def _lines(matrix: npt.NDArray[Any]) -> list[int]:
    """Bytes as they lie, 16 a line, the first one lowest."""
    raw = np.ascontiguousarray(matrix).tobytes()
    return [
        int.from_bytes(raw[place : place + LINE_BYTES], "little") for place in range(0, len(raw), LINE_BYTES)
    ]
