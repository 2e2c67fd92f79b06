"""N of every M along inputs and along outputs: one mask for the forward and the backward product."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.patterns.base import Amount, Pattern
from accelsim.prune.word import Settings

if TYPE_CHECKING:
    import torch


def transposable(scores: torch.Tensor, amount: Amount, settings: Settings) -> torch.Tensor:
    """Blocks of M x M filled greedily, the largest score first."""
    import torch

    from accelsim.prune.nm_masks import transposable_mask

    return torch.stack([transposable_mask(each.float(), amount.n, amount.m) for each in scores])


def refuses(rows: int, columns: int, amount: Amount, settings: Settings) -> str:
    """Groups must be whole both ways."""
    for what, count in (("inputs", columns), ("outputs", rows)):
        if count % amount.m:
            return f"{count} {what} are no multiple of {amount.m}"
    return ""


WORD = Pattern(
    name="transposable",
    said="transposable",
    sentence="One mask that is N:M along both channels: transposable,2:8 in training, wanda,2:8,transposable "
    "in one shot.",
    source="Hubara et al., NeurIPS 2021, arXiv 2102.08124",
    of=transposable,
    refuses=refuses,
)
