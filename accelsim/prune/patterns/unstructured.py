"""Any weight may go: the largest scores of a layer, or of each row, stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.golden.attention import keep_count
from accelsim.prune.patterns.base import Amount, Pattern
from accelsim.prune.word import Settings

if TYPE_CHECKING:
    import torch


def unstructured(scores: torch.Tensor, amount: Amount, settings: Settings) -> torch.Tensor:
    """Exactly keep x (weights of the layer, or of a row) stay, whatever ties there are."""
    if amount.per == "row":
        return largest(scores, keep_count(scores.shape[-1], amount.keep))
    return largest(scores.flatten(), keep_count(scores.numel(), amount.keep)).reshape(scores.shape)


def largest(scores: torch.Tensor, count: int) -> torch.Tensor:
    """True for the `count` largest along the last axis; of equals the lowest index."""
    import torch

    order = scores.argsort(dim=-1, descending=True, stable=True)[..., :count]
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, order, True)


WORD = Pattern(
    name="unstructured",
    said="FRACTION",
    sentence="Any weight may go: wanda,0.5 keeps half; per=row or per=layer says among which weights.",
    source="Han et al., NeurIPS 2015, arXiv 1506.02626",
    of=unstructured,
)
