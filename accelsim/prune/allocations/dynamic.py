"""One option for each layer, so that costs add up to at most a budget and values to as little as possible."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

UNITS = 2000
"""Into so many units the budget is cut; costs are rounded up, so that it holds."""


def chosen(
    costs: Sequence[Sequence[float]], values: Sequence[Sequence[float]], budget: float, units: int = UNITS
) -> list[int]:
    """The option of each layer, by dynamic programming, linear in layers. ValueError if none fits.

    Of options that are equally good the first is taken.
    """
    if budget < 0:
        raise ValueError(f"a budget must be at least 0, not {budget:g}")
    scale = units / budget if budget else 0.0
    best = np.zeros(units + 1)
    picks: list[np.ndarray] = []
    for layer_costs, layer_values in zip(costs, values, strict=True):
        options = np.full((len(layer_costs), units + 1), np.inf)
        for option, (cost, value) in enumerate(zip(layer_costs, layer_values, strict=True)):
            # A hair below a whole number of units is that number.
            taken = int(np.ceil(cost * scale - 1e-9)) if budget else (0 if cost == 0 else units + 1)
            if taken <= units:
                options[option, taken:] = best[: units + 1 - taken] + value
        picks.append(options.argmin(axis=0))
        best = options.min(axis=0)
    if not np.isfinite(best[units]):
        raise ValueError(f"a budget of {budget:g} must allow one option of each layer, and does not")
    left, found = units, []
    for layer_costs, picked in zip(reversed(costs), reversed(picks), strict=True):
        option = int(picked[left])
        found.append(option)
        left -= int(np.ceil(layer_costs[option] * scale - 1e-9)) if budget else 0
    return found[::-1]
