"""How far a figure may be off, by the bootstrap: what it would be on other samples of the same kind.

Samples are drawn again with replacement, the same ones for the dense and the pruned model, so that the
interval of the difference is paired. Samples of one origin (crops of one picture) are drawn together.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from accelsim.report import Spread

RESAMPLES = 2000
TAIL_PERCENT = 2.5  # at either end

Floats = npt.NDArray[np.float64]


def bootstrap(
    dense: Floats,
    pruned: Floats,
    *,
    seed: int,
    of: str,
    figure: Callable[[Floats], Floats] = lambda mean: mean,
    origins: npt.NDArray[np.int64] | None = None,
) -> Spread:
    """95 % percentile intervals of `figure(mean of the scores)`, dense, pruned and pruned minus dense.

    `dense`, `pruned`: one score a sample. `of`: what is drawn, in words. `origins`: the number of each
    sample's origin, from 0; None: each has its own.
    """
    if origins is None:
        origins = np.arange(len(dense))
    count = int(origins.max()) + 1
    sizes = np.bincount(origins, minlength=count)
    sums = [np.bincount(origins, weights=scores, minlength=count) for scores in (dense, pruned)]
    generator = np.random.default_rng(seed)
    means = np.empty((2, RESAMPLES))
    for index in range(RESAMPLES):
        drawn = generator.integers(count, size=count)
        means[:, index] = [total[drawn].sum() / sizes[drawn].sum() for total in sums]
    before, after = figure(means[0]), figure(means[1])
    return Spread(
        method=f"95 % bootstrap interval over {count} {of}, {RESAMPLES:,} resamples, paired",
        dense=_interval(before),
        pruned=_interval(after),
        difference=_interval(after - before),
    )


def rounded(figure: float) -> float:
    """Six significant digits: the last bits of a sum differ among processors."""
    return float(f"{figure:.6g}")


def _interval(figures: Floats) -> tuple[float, float]:
    low, high = np.percentile(figures, [TAIL_PERCENT, 100 - TAIL_PERCENT])
    return rounded(float(low)), rounded(float(high))
