"""Symmetric quantisation row by row, and back: `golden.fixed.symmetric_quantise`, a scale for each row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import prange

from accelsim_kernels.compiled import parallel
from accelsim_kernels.packing import READABLE

Array = npt.NDArray[Any]

MOST_BITS = 16
"""Widest integers: those of the products in `fixed_products`."""


def quantise_rows(rows: Array, bits: int) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.float64]]:
    """(rows, length) of float32 or float64 to integers in +-(2^(bits-1) - 1) and a scale for each row.

    ValueError for other widths than 2 to 16, and for what is not finite.
    """
    if not 2 <= bits <= MOST_BITS:
        raise ValueError(f"bits must be between 2 and {MOST_BITS}, not {bits}")
    raw = np.empty(rows.shape, np.int16)
    scales = np.empty(rows.shape[0], np.float64)
    finite = np.ones(rows.shape[0], np.bool_)
    _quantise(np.require(rows, requirements=READABLE), (1 << (bits - 1)) - 1, raw, scales, finite)
    if not finite.all():
        raise ValueError(f"numbers to quantise must be finite, not those of row {int(finite.argmin())}")
    return raw, scales


def dequantise_rows(
    total: npt.NDArray[np.int64], rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64], out: Array
) -> None:
    """out[r, c] = total[r, c] x rows[r] x columns[c], rounded once to `out`'s element."""
    _dequantise(total, rows, columns, out)


@parallel
def _quantise(rows, highest, raw, scales, finite):
    for row in prange(rows.shape[0]):
        largest = 0.0
        for column in range(rows.shape[1]):
            number = abs(np.float64(rows[row, column]))
            # A comparison with NaN is false: it must not slip through.
            if not number <= 1.7976931348623157e308:
                finite[row] = False
            largest = max(largest, number)
        scale = largest / highest if largest > 0 else 1.0
        scales[row] = scale
        for column in range(rows.shape[1]):
            number = np.rint(np.float64(rows[row, column]) / scale)
            raw[row, column] = np.int16(min(max(number, -highest), highest))


@parallel
def _dequantise(total, rows, columns, out):
    for row in prange(total.shape[0]):
        for column in range(total.shape[1]):
            out[row, column] = total[row, column] * (rows[row] * columns[column])
