"""Layers whose spectrum has a heavy tail are trained best and keep most; windows make shapes compare."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from accelsim.prune.allocations.budget import within_floors
from accelsim.prune.patterns.base import Amount
from accelsim.prune.word import Allocation, Settings, number, whole

if TYPE_CHECKING:
    import torch

    from accelsim.prune.network import Network


def farms(network: Network, settings: Settings) -> dict[str, Amount]:
    """What is removed of a layer goes linearly with its exponent, from 1 - spread to 1 + spread of the mean.

    One exponent a layer; the paper's means are over the layers of a block.
    """
    side, places = whole(settings, "window"), whole(settings, "places")
    exponents = {matrix.name: exponent(matrix.read(), side, places) for matrix in network.matrices}
    # Equal singular values have no tail and an infinite exponent: the layer stands beside the lightest tail.
    finite = [value for value in exponents.values() if isfinite(value)] or [1.0]
    low, high = min(finite), max(finite)
    spread = number(settings, "spread")
    removed = {
        name: (min(value, high) - low) / (high - low) * 2 * spread + 1 - spread if high > low else 1.0
        for name, value in exponents.items()
    }
    # Scaled until the budget is met; what a layer cannot lose goes to the others.
    gone = within_floors(removed, network.sizes, 1 - network.keep, 0.0, 0.99)
    return {name: Amount(keep=1 - share, per=network.recipe.amount.per) for name, share in gone.items()}


def exponent(weight: torch.Tensor, side: int, places: int) -> float:
    """Hill's 1 + k / (sum ln l_t - k ln l_i) of the upper half of all windows' squared singular values.

    weight: (groups, rows, columns). Windows are square, the larger side at most `side`, on an even grid of
    `places` x `places`; an i.i.d. matrix of any shape has about the same exponent then.
    """
    import torch

    _, rows, columns = weight.shape
    edge = min(side, rows, columns)
    values = []
    for down in _starts(rows - edge, places):
        for across in _starts(columns - edge, places):
            window = weight[:, down : down + edge, across : across + edge].double()
            values.append(torch.linalg.svdvals(window).square().flatten())
    ordered = torch.cat(values).clamp_min(1e-30).sort().values
    count = max(1, len(ordered) // 2)
    tail = ordered[-count:].log()
    slope = float((tail - tail[0]).sum())
    return 1 + count / slope if slope > 0 else float("inf")


def _starts(room: int, places: int) -> list[int]:
    """Evenly spaced, the first and the last place included."""
    if room == 0 or places == 1:
        return [0]
    return sorted({round(index * room / (places - 1)) for index in range(places)})


WORD = Allocation(
    name="farms",
    sentence="Layers with heavy-tailed spectra keep more: exponents of square windows, so shapes compare.",
    source="Hu et al. (FARMS), 2025, arXiv 2506.06280; mapping of AlphaPruning, Lu et al., NeurIPS 2024, "
    "arXiv 2410.10912",
    settings={"window": 128, "places": 4, "spread": 0.3},
    of=farms,
)
