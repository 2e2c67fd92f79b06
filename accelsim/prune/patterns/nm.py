"""N of every M consecutive weights along the reduction stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.patterns.base import Amount, Pattern
from accelsim.prune.word import Settings

if TYPE_CHECKING:
    import torch


def nm(scores: torch.Tensor, amount: Amount, settings: Settings) -> torch.Tensor:
    """The N largest scores of each group."""
    from accelsim.prune.nm_masks import keep_largest

    return keep_largest(scores.float(), amount.n, amount.m)


def refuses(rows: int, columns: int, amount: Amount, settings: Settings) -> str:
    """Groups must be whole; `columns` are those of one tap."""
    if columns % amount.m:
        return f"{columns} weights along the reduction are no multiple of {amount.m}"
    return ""


WORD = Pattern(
    name="nm",
    said="N:M",
    sentence="N of every M along the reduction stay: wanda,2:4.",
    source="Mishra et al., 2021, arXiv 2104.08378",
    of=nm,
    refuses=refuses,
)
