"""Rectangles of weights that go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.golden.attention import keep_count
from accelsim.prune.patterns.base import Amount, Pattern
from accelsim.prune.patterns.unstructured import largest
from accelsim.prune.word import Settings, whole

if TYPE_CHECKING:
    import torch


def blocks(scores: torch.Tensor, amount: Amount, settings: Settings) -> torch.Tensor:
    """Blocks of `rows` outputs x `columns` inputs, ranked in the layer by the sum of their scores."""
    high, wide = whole(settings, "rows"), whole(settings, "columns")
    groups, rows, columns = scores.shape
    parts = scores.reshape(groups, rows // high, high, columns // wide, wide).double().sum(dim=(2, 4))
    kept = largest(parts.flatten(), keep_count(parts.numel(), amount.keep)).reshape(parts.shape)
    return kept.repeat_interleave(high, dim=1).repeat_interleave(wide, dim=2)


def refuses(rows: int, columns: int, amount: Amount, settings: Settings) -> str:
    """Blocks must be whole."""
    for what, count in (("columns", columns), ("rows", rows)):
        if count % whole(settings, what):
            return f"{count} {what} are no multiple of the block's {whole(settings, what)}"
    return ""


WORD = Pattern(
    name="blocks",
    said="blocks",
    sentence="Rectangles of weights go together: wanda,0.5,blocks,rows=1,columns=4.",
    source="Gray et al., 2017, GPU kernels for block-sparse weights; 4-blocks: Kurtic et al., EMNLP 2022, "
    "arXiv 2203.07259",
    settings={"rows": 1, "columns": 4},
    of=blocks,
    refuses=refuses,
    together=lambda settings: whole(settings, "columns"),
)
