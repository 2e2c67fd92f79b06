"""Weights scaled to equal rows and columns first: the start of ARMOR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.word import Score, Settings

if TYPE_CHECKING:
    import torch

    from accelsim.prune.statistics import Seen


def nowag(weight: torch.Tensor, seen: Seen, settings: Settings) -> torch.Tensor:
    """W'^2 mean(x_j^2), where W' is W with columns, then rows, divided by their norms."""
    return normalised(weight)[0].square() * seen.squares[:, None, :]


def normalised(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """W' and the norms of columns (groups, 1, columns) and of rows (groups, rows, 1): W = rows W' columns."""
    columns = weight.norm(dim=1, keepdim=True)
    columns = columns.where(columns > 0, 1)
    scaled = weight / columns
    rows = scaled.norm(dim=2, keepdim=True)
    rows = rows.where(rows > 0, 1)
    return scaled / rows, columns, rows


WORD = Score(
    name="nowag",
    sentence="NoWag-P: weights with columns and rows at equal norms, squared, x mean square of the input.",
    source="Liu et al., 2025, arXiv 2504.14569",
    needs=frozenset({"squares"}),
    of=nowag,
)
