"""Attention with cascade pruning: what a pass over the layers keeps, and on which scores it decides.

One function per step of the SpAtten algorithm (HPCA 2021, section 3), on plain arrays, integers or
floats, so that the cycle models, the hardware and the pruning of a real model call the same code.
"""

from __future__ import annotations

from math import ceil, floor
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.topk import top_k_indices, top_k_mask

Numbers = npt.NDArray[Any]
"""An array of integers or floats."""

TOKEN_START = 0.15
HEAD_START = 0.30
"""Fractions of the layers, counted from the first, that the paper leaves unpruned (section 5)."""

STEEPEST_START = 1.5
"""The first pruned layer keeps at most this many times the mean of the pruned layers."""

ROUNDING_SLACK = 1e-9
"""Keeps 0.29 * 100 at 29: the product of two exact decimals may fall short in binary."""


def schedule(layers: int, average_keep: float, start_fraction: float = TOKEN_START) -> tuple[float, ...]:
    """Fraction of the unpruned tokens or heads that is kept in each layer; its mean is `average_keep`.

    The first ceil(start_fraction * layers) layers keep everything. The others fall linearly from r_start to
    r_end with r_start + r_end = 2 r, where r is the mean that those layers need so that the mean over ALL
    layers is `average_keep`, and r_start = min(1, 1.5 r): the paper (section 5) fixes only the sum, and
    this choice never reaches 0. When r would be less than half of `average_keep`, fewer layers stay
    unpruned, at least one: there are no scores before the first. The result never rises, in (0, 1].

    Raises ValueError when no such fractions exist (average_keep <= 1 / layers).
    """
    if layers < 1:
        raise ValueError(f"layers must be at least 1, not {layers}")
    if not 0 < average_keep <= 1:
        raise ValueError(f"average_keep must be above 0 and at most 1, not {average_keep}")
    if not 0 <= start_fraction <= 1:
        raise ValueError(f"start_fraction must be between 0 and 1, not {start_fraction}")
    if average_keep == 1:
        return (1.0,) * layers
    if average_keep * layers <= 1 + ROUNDING_SLACK:
        raise ValueError(
            f"average_keep must be above {1 / layers:.4g} (the first of {layers} layers keeps all), "
            f"not {average_keep}"
        )
    unpruned = min(layers - 1, max(1, ceil(start_fraction * layers - ROUNDING_SLACK)))
    while unpruned > 1 and _mean_after(layers, unpruned, average_keep) < average_keep / 2:
        unpruned -= 1
    mean = _mean_after(layers, unpruned, average_keep)
    pruned = layers - unpruned
    first = min(1.0, STEEPEST_START * mean) if pruned > 1 else mean
    last = 2 * mean - first
    steps = max(pruned - 1, 1)
    falling = (first + (last - first) * layer / steps for layer in range(pruned))
    return (1.0,) * unpruned + tuple(falling)


def keep_count(count: int, fraction: float) -> int:
    """How many of `count` tokens, heads or values a kept fraction leaves: its floor, but never 0.

    Source: section 3 writes L * (1 - p) without a rounding; the published traces use the floor.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"a kept fraction must be above 0 and at most 1, not {fraction}")
    if count < 1:
        raise ValueError(f"there must be at least 1 to keep, not {count}")
    return max(1, floor(count * fraction + ROUNDING_SLACK))


def token_importance(before: Numbers, probabilities: Numbers) -> Numbers:
    """Cumulative importance of the keys: each column of the probabilities is added to its key's score.

    before: (..., keys); probabilities: (..., heads, queries, keys), those after a recomputation with LSBs.
    Integers stay integers, in the same units.
    """
    after: Numbers = before + probabilities.sum(axis=(-3, -2), dtype=before.dtype)
    return after


def accumulated(before: Numbers, scores: Numbers, sum_bits: int) -> Numbers:
    """Sums of unsigned integers that stay at the largest word of `sum_bits` bits; same shapes."""
    return np.minimum(before.astype(np.uint64) + scores.astype(np.uint64), (1 << sum_bits) - 1)


def head_importance(before: Numbers, outputs: Numbers) -> Numbers:
    """Cumulative importance of the heads: the sum of magnitudes of their outputs before the projection.

    before: (..., heads); outputs: (..., heads, queries, dim).
    """
    after: Numbers = before + np.abs(outputs).sum(axis=(-2, -1), dtype=before.dtype)
    return after


def select(scores: Numbers, count: int) -> npt.NDArray[np.int64]:
    """Ascending positions of the `count` highest scores along the last axis; the lowest index wins a tie."""
    return top_k_indices(scores, count)


def local_values(probabilities: Numbers, count: int) -> npt.NDArray[np.bool_]:
    """Which V vectors each row fetches: its `count` largest probabilities, (..., keys) to the same shape.

    A row that keeps as many as it has bypasses the engine.
    """
    if count >= probabilities.shape[-1]:
        return np.ones(probabilities.shape, dtype=np.bool_)
    return top_k_mask(probabilities, count)


def needs_lsb(probabilities: Numbers, threshold: float) -> npt.NDArray[np.bool_]:
    """Rows so flat that their LSBs are fetched: largest probability below `threshold`, (..., keys) to (...).

    The threshold is in the units of the probabilities.
    """
    flat: npt.NDArray[np.bool_] = probabilities.max(axis=-1) < threshold
    return flat


def _mean_after(layers: int, unpruned: int, average_keep: float) -> float:
    """Mean that the pruned layers need for the given mean over all layers."""
    return (layers * average_keep - unpruned) / (layers - unpruned)
