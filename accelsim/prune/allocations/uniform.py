"""The same fraction of every layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.patterns.base import Amount
from accelsim.prune.word import Allocation, Settings

if TYPE_CHECKING:
    from accelsim.prune.network import Network


def uniform(network: Network, settings: Settings) -> dict[str, Amount]:
    """The recipe's amount everywhere."""
    return {matrix.name: network.recipe.amount for matrix in network.matrices}


WORD = Allocation(
    name="uniform",
    sentence="Every layer keeps the same fraction (the default).",
    source="Zhu and Gupta, 2017, arXiv 1710.01878",
    of=uniform,
)
