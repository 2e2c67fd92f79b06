"""Weight and activation: large inputs make small weights matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.word import Score, Settings

if TYPE_CHECKING:
    import torch

    from accelsim.prune.statistics import Seen


def wanda(weight: torch.Tensor, seen: Seen, settings: Settings) -> torch.Tensor:
    """|W_ij| * ||X_j||, where the norm is the root of the mean square over tokens."""
    return weight.abs() * seen.squares.sqrt()[:, None, :]


WORD = Score(
    name="wanda",
    sentence="|weight| x norm of its input, compared within each output row.",
    source="Sun et al., ICLR 2024, arXiv 2306.11695",
    needs=frozenset({"squares"}),
    of=wanda,
    per="row",
)
