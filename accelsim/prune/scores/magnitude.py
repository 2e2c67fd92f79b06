"""The size of the weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.word import Score, Settings

if TYPE_CHECKING:
    import torch

    from accelsim.prune.statistics import Seen


def magnitude(weight: torch.Tensor, seen: Seen, settings: Settings) -> torch.Tensor:
    """|W|."""
    return weight.abs()


WORD = Score(
    name="magnitude",
    sentence="Zeros the smallest weights: magnitude,N:M of every M along the reduction, or magnitude,0.5 "
    "keeps that fraction of each layer.",
    source="Han et al., NeurIPS 2015, arXiv 1506.02626",
    of=magnitude,
)
