"""D-Pruner's importance: what a domain's loss loses, held to what the network knows in general.

Source: Zhang et al. (D-Pruner), 2024, arXiv 2405.06275; its stages as in the public code. Here: a term of the
loss with the signed change of the weights, where the code has its square; factors 1/1000 and W^3 of the code,
which the text does not explain, are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from accelsim.prune.losses import sample_gradients
from accelsim.prune.network import Network, dense_statistics
from accelsim.prune.scores.sparsegpt import sparsegpt
from accelsim.prune.word import number, whole


def dual(network: Network) -> dict[str, torch.Tensor]:
    """(groups, rows, columns) by layer: mean of |g W + (g W)^2 / 2| over one pass of SGD on the domain.

    g: gradient of the loss and of strength x sum of I (W - W_dense)^2, where I = W^2 / U_jj^2 is SparseGPT's
    score on general samples. The weights move at `rate`, which falls to nothing, by gradients whose norm is
    at most `clip`; afterwards they are as before.
    """
    word = network.recipe.words[1]
    settings = network.recipe.set(word)
    general, domain = divided(network.samples, whole(settings, "general"))
    matrices = network.matrices
    dense = [matrix.read() for matrix in matrices]
    needs = frozenset({"gram"})
    seen = dense_statistics(network.module, matrices, general, needs, network.told)
    protected = [
        sparsegpt(weight, seen[matrix.name], settings) for matrix, weight in zip(matrices, dense, strict=True)
    ]
    seen.clear()
    strength, rate = number(settings, "strength"), number(settings, "rate")
    found = [torch.zeros_like(weight) for weight in dense]
    now = [weight.clone() for weight in dense]
    try:
        passes = sample_gradients(network.module, matrices, domain, network.told)
        for step, raw in enumerate(passes):
            gradients = [
                matrix.rows_of(gradient) + 2 * strength * important * (weight - before)
                for matrix, gradient, important, weight, before in zip(
                    matrices, raw, protected, now, dense, strict=True
                )
            ]
            norm = float(torch.stack([each.norm() for each in gradients]).norm())
            length = rate * (1 - step / len(domain)) * min(1.0, number(settings, "clip") / max(norm, 1e-12))
            for matrix, gradient, weight, importance in zip(matrices, gradients, now, found, strict=True):
                first = gradient * weight
                importance += (first + first.square() / 2).abs()
                weight -= length * gradient
                matrix.write(weight)
    finally:
        for matrix, before in zip(matrices, dense, strict=True):
            matrix.write(before)
    return {matrix.name: importance / len(domain) for matrix, importance in zip(matrices, found, strict=True)}


def divided(samples: Sequence[Any], general: int) -> tuple[Sequence[Any], Sequence[Any]]:
    """The first samples, which are general, and those of the domain; one alone is both."""
    first = min(general, len(samples) - 1)
    return samples[:first] or samples, samples[first:]
