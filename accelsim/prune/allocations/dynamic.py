"""One option for each layer, so that costs add up to at most a budget and values to as little as possible."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

UNITS = 20_000
"""Into so many units the budget is cut. Costs are rounded up, by less than one unit a layer: so many units
more are looked at, and the exact sum of what is found there decides whether it holds."""

HAIR = 1e-9
"""Of the budget: what sums of floats may be off."""


def chosen(
    costs: Sequence[Sequence[float]],
    values: Sequence[Sequence[float]],
    budget: float,
    units: int = UNITS,
    known: Sequence[int] = (),
) -> list[int]:
    """The option of each layer, by dynamic programming, linear in layers. ValueError if none fits.

    Of options that are equally good the first is taken. `known`: an option of each layer, to which what is
    found is compared: rounding may hide a choice that fits exactly.
    """
    if budget < 0:
        raise ValueError(f"a budget must be at least 0, not {budget:g}")
    scale = units / budget if budget else 0.0
    taken = [[_units(cost, scale) for cost in each] for each in costs]
    fitting = [known] if known and _total(costs, known) <= budget * (1 + HAIR) else []
    picks = _picks(taken, values, units + len(costs))
    for room in range(units + len(costs), units - 1, -1):
        found = _followed(picks, taken, room)
        if found and _total(costs, found) <= budget * (1 + HAIR):
            fitting.insert(0, found)
            break
    if not fitting:
        raise ValueError(f"a budget of {budget:g} must allow one option of each layer, and does not")
    best = min(fitting, key=lambda each: _total(values, each))
    return list(best)


def _units(cost: float, scale: float) -> int:
    """Whole units that hold a cost, a hair above a number being that number; without a scale, only 0 fits."""
    if not scale:
        return 0 if cost == 0 else 2 * UNITS
    return int(np.ceil(cost * scale - HAIR))


def _picks(taken: Sequence[Sequence[int]], values: Sequence[Sequence[float]], room: int) -> list[np.ndarray]:
    """The best option of each layer for each number of units left to it and those before; -1: none fits."""
    best = np.zeros(room + 1)
    picks: list[np.ndarray] = []
    for layer_taken, layer_values in zip(taken, values, strict=True):
        options = np.full((len(layer_taken), room + 1), np.inf)
        for option, (cost, value) in enumerate(zip(layer_taken, layer_values, strict=True)):
            if cost <= room:
                options[option, cost:] = best[: room + 1 - cost] + value
        best = options.min(axis=0)
        picks.append(np.where(np.isfinite(best), options.argmin(axis=0), -1))
    return picks


def _followed(picks: Sequence[np.ndarray], taken: Sequence[Sequence[int]], room: int) -> list[int]:
    """The options that a number of units leads to, from the last layer back; none if none fit."""
    found: list[int] = []
    for picked, layer_taken in zip(reversed(picks), reversed(taken), strict=True):
        option = int(picked[room])
        if option < 0:
            return []
        found.append(option)
        room -= layer_taken[option]
    return found[::-1]


def _total(each: Sequence[Sequence[float]], options: Sequence[int]) -> float:
    return sum(float(layer[option]) for layer, option in zip(each, options, strict=True))
