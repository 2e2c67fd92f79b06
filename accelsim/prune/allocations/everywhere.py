"""One threshold for all layers together, and a floor under each against layers that vanish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.allocations.budget import within_floors
from accelsim.prune.patterns.base import Amount
from accelsim.prune.word import Allocation, Settings, number

if TYPE_CHECKING:
    from accelsim.prune.network import Network


def everywhere(network: Network, settings: Settings) -> dict[str, Amount]:
    """Each layer's share of the largest scores of all layers; at least `floor` of its weights."""
    import torch

    scores = {matrix.name: network.scores(matrix).flatten() for matrix in network.matrices}
    total = sum(each.numel() for each in scores.values())
    pooled = torch.cat(list(scores.values()))
    removed = total - max(1, int(total * network.keep + 1e-9))
    threshold = pooled.kthvalue(removed).values if removed else pooled.min() - 1
    kept = {name: float((each > threshold).double().mean()) for name, each in scores.items()}
    kept = within_floors(kept, network.sizes, network.keep, number(settings, "floor"))
    return {
        name: Amount(keep=max(keep, 1 / network.sizes[name]), per=network.recipe.amount.per)
        for name, keep in kept.items()
    }


WORD = Allocation(
    name="global",
    sentence="One threshold on the scores of all layers, with a floor under each layer against collapse.",
    source="Gupta et al. (Global MP), 2022, arXiv 2209.14624",
    settings={"floor": 0.01},
    of=everywhere,
)
