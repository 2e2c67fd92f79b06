"""Second order in one sweep over the columns, with the update of those that follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.word import Score, Settings, number, whole

if TYPE_CHECKING:
    import torch

    from accelsim.prune.patterns.base import Amount
    from accelsim.prune.statistics import Seen
    from accelsim.prune.word import Choose


def sparsegpt(weight: torch.Tensor, seen: Seen, settings: Settings) -> torch.Tensor:
    """W_ij^2 / U_jj^2 at the weights of now; U: upper Cholesky factor of the damped inverse Hessian."""
    from accelsim.prune.second_order import inverse_factor

    diagonal = inverse_factor(seen.gram, number(settings, "damping")).diagonal(dim1=1, dim2=2)
    return weight.square() / diagonal.square()[:, None, :].to(weight.dtype)


def swept_groups(
    weight: torch.Tensor, seen: Seen, amount: Amount, choose: Choose, settings: Settings
) -> tuple[torch.Tensor, torch.Tensor]:
    """The weight after the sweep, in which groups of M, or blocks of columns, are chosen in turn."""
    import torch

    from accelsim.prune.second_order import inverse_factor, swept

    block = whole(settings, "block")
    if amount.m:
        block = max(1, block // amount.m) * amount.m
    new, kept = weight.clone(), torch.ones_like(weight, dtype=torch.bool)
    for group, factor in enumerate(inverse_factor(seen.gram, number(settings, "damping"))):
        new[group], kept[group], _ = swept(
            weight[group],
            factor,
            choose=lambda part, start: choose(part[None])[0],
            chosen_at_once=amount.m or block,
            block=block,
        )
    return new, kept


WORD = Score(
    name="sparsegpt",
    sentence="Sweeps over the columns, zeros those weights whose loss costs least, and makes up for them in "
    "the columns that follow.",
    source="Frantar and Alistarh, ICML 2023, arXiv 2301.00774",
    settings={"damping": 0.01, "block": 128},
    needs=frozenset({"gram"}),
    of=sparsegpt,
    per="block",
    sweep=swept_groups,
    patterns=("nm", "unstructured"),
    instead="obs, or wanda",
)
