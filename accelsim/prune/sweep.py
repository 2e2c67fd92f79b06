"""SparseGPT's innermost loop: in a few columns whose mask is known, each error goes to those behind it."""

from __future__ import annotations

import numpy as np

from accelsim.compiled import kernel


@kernel
def sweep(values, kept, factor, lost):  # type: ignore[no-untyped-def]
    """Zero what is not kept, in place, and make up for it in later columns; returns the squared error.

    values, kept, lost: (rows, columns); factor: (columns, columns), upper triangular. `lost` gets each
    column's error over its factor.
    """
    rows, columns = values.shape
    total = 0.0
    for row in range(rows):
        for column in range(columns):
            error = 0.0
            if not kept[row, column]:
                error = values[row, column] / factor[column, column]
                values[row, column] = 0.0
                for later in range(column + 1, columns):
                    values[row, later] -= error * factor[column, later]
            lost[row, column] = error
            total += error * error
    return total


def swept_columns(values: np.ndarray, kept: np.ndarray, factor: np.ndarray) -> tuple[np.ndarray, float]:
    """The errors (rows, columns) that are left to the columns outside, and the sum of their squares."""
    lost = np.empty_like(values)
    return lost, float(sweep(values, kept, factor, lost))  # type: ignore[no-untyped-call]
