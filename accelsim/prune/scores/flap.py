"""How much an input fluctuates: what is constant can become bias."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.word import Score, Settings

if TYPE_CHECKING:
    import torch

    from accelsim.prune.statistics import Seen


def flap(weight: torch.Tensor, seen: Seen, settings: Settings) -> torch.Tensor:
    """W_ij^2 var(x_j): over a column, the squared error of removing it and adding its mean as bias."""
    return weight.square() * seen.variances[:, None, :]


WORD = Score(
    name="flap",
    sentence="Fluctuation: weight^2 x variance of its input, made for whole columns or heads, and bias.",
    source="An et al. (FLAP), AAAI 2024, arXiv 2312.11983",
    needs=frozenset({"moments"}),
    of=flap,
)
