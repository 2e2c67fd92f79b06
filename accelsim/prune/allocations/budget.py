"""Fractions that meet a budget: floors, caps, and what one layer cannot take goes to the others."""

from __future__ import annotations

from collections.abc import Mapping

ROUNDS = 100


def within_floors(
    kept: Mapping[str, float], sizes: Mapping[str, int], keep: float, floor: float, cap: float = 1.0
) -> dict[str, float]:
    """The fractions between floor and cap whose mean over weights is `keep`.

    All that are not at a bound are scaled alike, until the budget is met. ValueError where no fractions can.
    """
    if not 0 <= floor <= keep <= cap:
        raise ValueError(f"floor must be at most the {keep:g} that is kept, not {floor:g}")
    total = keep * sum(sizes.values())
    low, high = 0.0, 1.0

    def bounded(factor: float) -> dict[str, float]:
        return {name: min(cap, max(floor, fraction * factor)) for name, fraction in kept.items()}

    def spent(factor: float) -> float:
        return sum(fraction * sizes[name] for name, fraction in bounded(factor).items())

    while spent(high) < total and high < 1e12:
        high *= 2
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        low, high = (middle, high) if spent(middle) < total else (low, middle)
    return bounded(high)
