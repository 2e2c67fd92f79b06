"""Compaction: what a filter keeps, moved together in its order, as the zero eliminator does it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]


def kept_before(keep: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """How many elements before each one are kept, along the last axis: its place after compaction."""
    before: npt.NDArray[np.int64] = np.cumsum(keep, axis=-1, dtype=np.int64) - keep
    return before


def compact(elements: Numbers, keep: npt.NDArray[np.bool_]) -> Numbers:
    """The kept elements of a one-dimensional array, in their order."""
    return elements[keep]


def compact_rows(elements: Numbers, keep: npt.NDArray[np.bool_]) -> list[Numbers]:
    """The kept elements of a group of rows (rows, lanes), in rows of `lanes`, as a stream gives them.

    A row is given as soon as it is full, so what is left when the last row has come makes the last one (or
    two): partial, or empty if nothing is left to give.
    """
    lanes = elements.shape[-1]
    kept = compact(elements.reshape(-1), keep.reshape(-1))
    given = np.count_nonzero(keep[:-1]) // lanes * lanes
    ends = [*range(lanes, given + 1, lanes), *range(given + lanes, len(kept), lanes), len(kept)]
    return [kept[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
