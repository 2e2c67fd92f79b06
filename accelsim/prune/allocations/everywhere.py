"""One threshold for all layers together, and a floor under each against layers that vanish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from accelsim.prune.allocations.budget import within_floors
from accelsim.prune.patterns.base import Amount
from accelsim.prune.word import Allocation, Settings, number

if TYPE_CHECKING:
    import torch

    from accelsim.prune.network import Network


def everywhere(network: Network, settings: Settings) -> dict[str, Amount]:
    """Each layer's share of the largest scores of all layers; at least `floor` of its weights."""
    kept = shares_above({matrix.name: network.scores(matrix) for matrix in network.matrices}, network.keep)
    kept = within_floors(kept, network.sizes, network.keep, number(settings, "floor"))
    return {
        name: Amount(keep=max(keep, 1 / network.sizes[name]), per=network.recipe.amount.per)
        for name, keep in kept.items()
    }


def shares_above(scores: Mapping[str, torch.Tensor], keep: float) -> dict[str, float]:
    """Of each layer the share of its scores that are among the largest `keep` of all together."""
    import torch

    pooled = torch.cat([each.flatten() for each in scores.values()])
    removed = len(pooled) - max(1, int(len(pooled) * keep + 1e-9))
    threshold = pooled.kthvalue(removed).values if removed else pooled.min() - 1
    return {name: float((each > threshold).double().mean()) for name, each in scores.items()}


WORD = Allocation(
    name="global",
    sentence="One threshold on the scores of all layers, with a floor under each layer against collapse.",
    source="Gupta et al. (Global MP), 2022, arXiv 2209.14624",
    settings={"floor": 0.01},
    of=everywhere,
)
