"""Late blocks lose most, early ones nothing: what comes first in a network sets what it means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.allocations.budget import within_floors
from accelsim.prune.patterns.base import Amount
from accelsim.prune.word import Allocation, Settings, number

if TYPE_CHECKING:
    from accelsim.prune.network import Network

MOST = 0.99
"""Of a layer that may go."""


def later(network: Network, settings: Settings) -> dict[str, Amount]:
    """The first `protect` of the blocks keep all; what the others lose goes up by equal steps to the last.

    Blocks are those of the longest part of the network that repeats (`accelsim.prune.blocks`); layers before
    them are protected, layers behind them lose as the last block does. ValueError where those that may lose
    are too few for what is to go.
    """
    sizes, protect = network.sizes, number(settings, "protect")
    ranks = positions(network, protect)
    most = MOST * sum(sizes[name] for name, rank in ranks.items() if rank) / sum(sizes.values())
    if 1 - network.keep > most:
        raise ValueError(
            f"later can take at most {most:.3g} of the weights with protect={protect:g}, "
            f"not {1 - network.keep:.3g}: protect less, or keep more"
        )
    wanted = {name: float(rank) for name, rank in ranks.items()}
    gone = within_floors(wanted, sizes, 1 - network.keep, 0.0, MOST)
    return {name: Amount(keep=1 - share, per=network.recipe.amount.per) for name, share in gone.items()}


def positions(network: Network, protect: float) -> dict[str, int]:
    """By layer 0 where it is protected, else 1 for the first block that is not, 2 for the next."""
    from accelsim.prune.blocks import repeated

    found = repeated(network.module)
    if found is None:
        raise ValueError("later needs a network of repeated blocks, and there are none")
    names = found[0]
    spared = int(protect * len(names) + 1e-9)
    ranks, block = {}, -1
    for name in network.sizes:
        inside = [index for index, each in enumerate(names) if name.startswith(f"{each}.")]
        block = inside[0] if inside else block
        ranks[name] = max(0, block + 1 - spared)
    return ranks


def check(settings: Settings) -> None:
    """ValueError for a share that protects everything."""
    if number(settings, "protect") >= 1:
        raise ValueError(f"protect must be below 1, not {settings['protect']}")


WORD = Allocation(
    name="later",
    sentence="Position: the first `protect` of the blocks stay whole, and the later a block, the more it "
    "loses.",
    source="Kwon et al. (HierarchicalPrune), AAAI 2026, arXiv 2508.04663, its rule of positions",
    settings={"protect": 0.5},
    check=check,
    of=later,
)
