"""Second order for whole columns or heads: one goes after the other, and all others make up for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.golden.attention import keep_count
from accelsim.prune.word import Score, Settings, number, whole

if TYPE_CHECKING:
    import torch

    from accelsim.prune.patterns.base import Amount
    from accelsim.prune.statistics import Seen
    from accelsim.prune.word import Choose


def ziplm(weight: torch.Tensor, seen: Seen, settings: Settings) -> torch.Tensor:
    """Shares of tr(W_S ([H^-1]_SS)^-1 W_S^T), what the removal of the columns S alone costs."""
    import torch

    from accelsim.prune.second_order import damped, shares

    together = whole(settings, "together")
    inverse = torch.linalg.inv(damped(seen.gram, number(settings, "damping")))
    return shares(weight.double(), inverse[:, None], together).to(weight.dtype)


def removed(
    weight: torch.Tensor, seen: Seen, amount: Amount, choose: Choose, settings: Settings
) -> tuple[torch.Tensor, torch.Tensor]:
    """The weight after the cheapest structures went one by one, and its mask."""
    import torch

    from accelsim.prune.second_order import damped, without_columns

    together = whole(settings, "together")
    count = weight.shape[-1] // together
    goes = count - keep_count(count, amount.keep)
    new, kept = weight.clone(), torch.ones_like(weight, dtype=torch.bool)
    for group, hessian in enumerate(damped(seen.gram, number(settings, "damping"))):
        found, stays, _ = without_columns(weight[group], hessian, together, goes)
        new[group], kept[group] = found.to(weight.dtype), stays
    return new, kept


WORD = Score(
    name="ziplm",
    sentence="Structured optimal brain surgeon: the columns or heads whose removal costs the layer's output "
    "least go one by one, with the least squares update of the others: ziplm,0.5,columns.",
    source="Kurtic et al. (ZipLM), NeurIPS 2023, arXiv 2302.04089",
    settings={"damping": 0.01},
    needs=frozenset({"gram"}),
    of=ziplm,
    sweep=removed,
    patterns=("columns", "heads"),
    instead="obs with update",
)
