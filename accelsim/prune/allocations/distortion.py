"""Least distortion of the output at a budget of weights: each layer's curve, and a dynamic programme."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.patterns.base import Amount
from accelsim.prune.word import Allocation, Settings, whole

if TYPE_CHECKING:
    from accelsim.prune.network import Network


def rate_distortion(network: Network, settings: Settings) -> dict[str, Amount]:
    """The levels whose distortions, measured one layer at a time, add up to least.

    It rests on their being additive, which is worst where much is pruned. The level of nothing is left out:
    a layer would vanish.
    """
    from accelsim.prune.allocations.curves import curves
    from accelsim.prune.allocations.dynamic import chosen

    levels = whole(settings, "levels")
    per = network.recipe.amount.per
    # The budget itself is a level too, so that uniform is among what is chosen from: `known`, below.
    keeps = sorted({*((index + 1) / levels for index in range(levels)), network.keep})
    found = curves(network, [Amount(keep=keep, per=per) for keep in keeps], whole(settings, "probes"))
    points = list(found.values())
    uniform = [keeps.index(network.keep)] * len(points)
    # A row, or a layer, keeps at least one weight: of small ones uniform itself is above the fraction.
    at_least = sum(each[option].kept for each, option in zip(points, uniform, strict=True))
    picked = chosen(
        [[point.kept for point in each] for each in points],
        [[point.distortion for point in each] for each in points],
        max(network.keep * sum(network.sizes.values()), at_least),
        known=uniform,
    )
    return {name: each[option].amount for (name, each), option in zip(found.items(), picked, strict=True)}


WORD = Allocation(
    name="rd",
    sentence="Rate-distortion: levels by dynamic programming on the output's distortion, measured for each "
    "layer alone.",
    source="Xu et al. (RD_PRUNE), ICCV 2023, arXiv 2308.10438",
    settings={"levels": 10, "probes": 2},
    needs=frozenset({"samples"}),
    of=rate_distortion,
)
