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


def shared_out(
    scores: Mapping[str, float], sizes: Mapping[str, int], keep: float, floor: float
) -> dict[str, float]:
    """Every layer keeps `floor` of itself; the rest of the budget goes by score, none over its size."""
    kept = {name: floor * size for name, size in sizes.items()}
    left = keep * sum(sizes.values()) - sum(kept.values())
    open_layers = {name for name in sizes if scores[name] > 0} or set(sizes)
    while left > 1e-6 and open_layers:
        total, even = sum(scores[name] for name in open_layers), 1 / len(open_layers)
        shares = {name: left * (scores[name] / total if total > 0 else even) for name in open_layers}
        for name, share in shares.items():
            taken = min(share, sizes[name] - kept[name])
            kept[name] += taken
            left -= taken
        full = {name for name in open_layers if kept[name] >= sizes[name] - 1e-9}
        if not full:
            break
        open_layers -= full
        open_layers = open_layers or {name for name in sizes if kept[name] < sizes[name] - 1e-9}
    return {name: kept[name] / sizes[name] for name in sizes}
