"""Layers on which the loss depends most keep most: gradients of the loss by forward passes alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.allocations.budget import shared_out
from accelsim.prune.patterns.base import Amount
from accelsim.prune.word import Allocation, Settings, number, whole

if TYPE_CHECKING:
    from accelsim.prune.network import Network


def ecoflap(network: Network, settings: Settings) -> dict[str, Amount]:
    """Every layer keeps 1 - (S + margin), S being what is removed; the rest of the budget goes by score."""
    scores = sensitivities(
        network, whole(settings, "probes"), number(settings, "step"), whole(settings, "seed")
    )
    floor = max(0.0, network.keep - number(settings, "margin"))
    kept = shared_out(scores, network.sizes, network.keep, floor)
    return {name: Amount(keep=keep, per=network.recipe.amount.per) for name, keep in kept.items()}


def sensitivities(network: Network, probes: int, step: float, seed: int) -> dict[str, float]:
    """Sum over samples of |L(W + step z) - L(W - step z)| / (2 step), z normal: about sqrt(2/pi) |gradient|.

    The weight comes back from a copy, and both losses are of one sample.
    """
    import numpy as np
    import torch

    from accelsim.prune.blocks import without_cache

    found: dict[str, float] = {}
    generator = np.random.default_rng(seed)
    with torch.no_grad(), without_cache(network.module):
        for index, matrix in enumerate(network.matrices):
            network.told(f"probing {matrix.name}", index, len(network.matrices))
            before, total = matrix.read(), 0.0
            try:
                for sample in range(min(probes, len(network.samples))):
                    noise = (
                        torch.from_numpy(generator.standard_normal(tuple(before.shape), np.float32)) * step
                    )
                    losses = []
                    for moved in (before + noise, before - noise):
                        matrix.write(moved)
                        losses.append(float(network.loss(network.samples[sample], sample)))
                    total += abs(losses[0] - losses[1]) / (2 * step)
            finally:
                matrix.write(before)
            found[matrix.name] = total
    return found


WORD = Allocation(
    name="ecoflap",
    sentence="Coarse to fine: layers keep more the larger the loss's gradient, estimated by forward passes.",
    source="Sung et al., ICLR 2024, arXiv 2310.02998",
    settings={"probes": 4, "step": 0.001, "margin": 0.1, "seed": 0},
    needs=frozenset({"samples"}),
    of=ecoflap,
)
