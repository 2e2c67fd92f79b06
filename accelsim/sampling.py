"""Which rows of attention scores are kept where all would be too many, and which row stands for which.

Scores of a long prompt grow with its square: 4,096 tokens in 32 heads are a gigabyte a layer. Up to
`MOST_SCORES` of a layer are kept whole; beyond, so many query rows of every head that they fit, at even
distances, the same in every head, and at least one. Every row is decided on its own scores whatever is kept:
only what a machine asks of them later (how long a selection takes) is answered by the nearest kept row.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

MOST_SCORES = 2**24
"""Scores of a layer that are kept, 2 bytes each: GPT-2 Medium's at its longest prompt are whole."""


def kept_rows(queries: int, scores_per_query: int) -> Integers | None:
    """Rising query rows whose scores are kept, each the middle of a stretch of equal length; None: all.

    `scores_per_query`: batch x heads x keys.
    """
    count = max(1, MOST_SCORES // scores_per_query)
    if count >= queries:
        return None
    return (2 * np.arange(count) + 1) * queries // (2 * count)


def standing(rows: npt.NDArray[np.integer], queries: int) -> Integers:
    """For each query the index into `rows` of the nearest one; of two as near, the earlier."""
    between = (rows[1:].astype(np.int64) + rows[:-1]) // 2
    return np.searchsorted(between, np.arange(queries)).astype(np.int64)


def said(scored: int, queries: int) -> str:
    """What a report says of layers of which `scored` of `queries` rows kept their scores; "" if all did."""
    if scored == queries:
        return ""
    return (
        f"scores: beyond {MOST_SCORES:,} a layer, those of rows at even distances are kept "
        f"({scored / queries:.0%} of the rows of such layers), each for the rows that are nearest to it"
    )
