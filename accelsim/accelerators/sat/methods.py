"""What N:M training methods cost at best: the three products of a layer, each in units of a dense one.

Arithmetic on N and M alone, no machine: the bound that `benchmarks/paper_sat.py` prints beside what
SAT needs.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

Costs = tuple[Fraction, Fraction, Fraction]
"""Forward pass, gradient of the input, gradient of the weight."""

ONE = Fraction(1)

# Which product reads pruned operands: srste forward weights; sdgp output gradients and sdwp weights of the
# backward product; bdwp weights of both.
METHODS: dict[str, Callable[[Fraction], Costs]] = {
    "dense": lambda density: (ONE, ONE, ONE),
    "srste": lambda density: (density, ONE, ONE),
    "sdgp": lambda density: (ONE, density, ONE),
    "sdwp": lambda density: (ONE, density, ONE),
    "bdwp": lambda density: (density, density, ONE),
}


def ideal_speedups(kept: int, group: int) -> dict[str, float]:
    """Dense over pruned work of a layer that the method prunes to `kept` of `group`, by method."""
    density = Fraction(kept, group)
    return {name: float(3 / sum(costs(density), Fraction(0))) for name, costs in METHODS.items()}
