"""One threshold for all layers of a kind: Q, K and V; projections behind attention; MLPs; all others."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from accelsim.prune.allocations.budget import within_floors
from accelsim.prune.allocations.everywhere import shares_above
from accelsim.prune.kinds import kind_of
from accelsim.prune.patterns.base import Amount
from accelsim.prune.word import Allocation, Settings, number

if TYPE_CHECKING:
    from accelsim.prune.network import Network


def modules(network: Network, settings: Settings) -> dict[str, Amount]:
    """Each kind keeps the recipe's fraction of its weights; at least `floor` of each layer stays."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for name in network.sizes:
        kinds[kind_of(name)].append(name)
    found: dict[str, Amount] = {}
    layers = {matrix.name: matrix for matrix in network.matrices}
    for names in kinds.values():
        sizes = {name: network.sizes[name] for name in names}
        shares = shares_above({name: network.scores(layers[name]) for name in names}, network.keep)
        kept = within_floors(shares, sizes, network.keep, number(settings, "floor"))
        for name, keep in kept.items():
            found[name] = Amount(keep=max(keep, 1 / sizes[name]), per=network.recipe.amount.per)
    return found


WORD = Allocation(
    name="modules",
    sentence="One threshold for each kind of module (Q, K and V; behind attention; MLP; others), which all "
    "keep the same fraction.",
    source="He and Zhou (DIMAP), ICLR 2024, arXiv 2404.13648",
    settings={"floor": 0.01},
    of=modules,
)
