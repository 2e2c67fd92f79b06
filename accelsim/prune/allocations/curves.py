"""How much the network's output changes when one layer alone is cut to each of some amounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from accelsim.prune.patterns.base import Amount

if TYPE_CHECKING:
    import torch

    from accelsim.prune.matrices import Matrix
    from accelsim.prune.network import Network


@dataclass(frozen=True, kw_only=True)
class Point:
    """One amount of one layer: weights that stay, and the distortion of the output beside its power."""

    amount: Amount
    kept: int
    distortion: float


def curves(network: Network, amounts: Sequence[Amount], probes: int) -> dict[str, list[Point]]:
    """Of every layer, in the order of `amounts`; the last is all weights, whose distortion is 0.

    Distortion: mean square of the change of the network's output on the first `probes` samples, over the mean
    square of the output.
    """
    dense = outputs(network, probes)
    found: dict[str, list[Point]] = {}
    for index, matrix in enumerate(network.matrices):
        network.told(f"probing {matrix.name}", index, len(network.matrices))
        found[matrix.name] = [_point(network, matrix, amount, dense, probes) for amount in amounts]
    return found


def outputs(network: Network, probes: int) -> list[torch.Tensor]:
    """What the module gives for the first samples."""
    import torch

    from accelsim.prune.blocks import call, without_cache
    from accelsim.prune.losses import main_output

    with torch.no_grad(), without_cache(network.module):
        return [main_output(call(network.module, sample)).float() for sample in network.samples[:probes]]


def distortion(dense: Sequence[torch.Tensor], now: Sequence[torch.Tensor]) -> float:
    """Mean square of the change over mean square of the output."""
    changed = sum(float((one - other).double().square().sum()) for one, other in zip(dense, now, strict=True))
    return changed / sum(float(one.double().square().sum()) for one in dense)


def _point(
    network: Network, matrix: Matrix, amount: Amount, dense: Sequence[torch.Tensor], probes: int
) -> Point:
    from accelsim.prune.fitting import cut_layer

    if amount.keep == 1 or (amount.m and amount.n == amount.m):
        return Point(amount=amount, kept=matrix.size, distortion=0.0)
    before = matrix.read()
    cut = cut_layer(matrix.name, before, network.seen_of(matrix), network.recipe, amount, network.module)
    matrix.write(cut.weight)
    try:
        lost = distortion(dense, outputs(network, probes))
    finally:
        matrix.write(before)
    return Point(amount=amount, kept=int(cut.kept.sum()), distortion=lost)
