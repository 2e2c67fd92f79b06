"""Whole inputs of a layer go: the product's reduction is shorter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.golden.attention import keep_count
from accelsim.prune.patterns.base import Amount, Pattern
from accelsim.prune.patterns.unstructured import largest
from accelsim.prune.word import Settings

if TYPE_CHECKING:
    import torch


def columns(scores: torch.Tensor, amount: Amount, settings: Settings) -> torch.Tensor:
    """Of each group's columns, ranked by the sum of their scores, the fraction stays."""
    sums = scores.double().sum(dim=1)
    kept = largest(sums, keep_count(sums.shape[1], amount.keep))
    return kept[:, None, :].expand(scores.shape).clone()


WORD = Pattern(
    name="columns",
    said="columns",
    sentence="Whole inputs of each layer go, of an MLP whole neurons: flap,0.8,columns,bias.",
    source="An et al. (FLAP), AAAI 2024, arXiv 2312.11983",
    of=columns,
)
