"""Survivors are rounded to few bits; zeros stay zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.word import Refinement, Settings, whole

if TYPE_CHECKING:
    import torch

    from accelsim.prune.cut import Cut

LEAST, MOST = 2, 16


def bits(cut: Cut, settings: Settings) -> None:
    """The nearest of 2^bits - 1 levels, symmetric, of each output row's largest weight."""
    cut.weight = rounded(cut.weight, levels(cut.weight, whole(settings, "bits")))


def levels(weight: torch.Tensor, width: int) -> torch.Tensor:
    """Step of each row (..., rows, 1): the largest weight is the highest level."""
    step: torch.Tensor = weight.abs().amax(dim=-1, keepdim=True) / (2 ** (width - 1) - 1)
    return step.where(step > 0, 1)


def rounded(weight: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """Whole multiples of the step."""
    nearest: torch.Tensor = (weight / step).round() * step
    return nearest


def check(settings: Settings) -> None:
    """ValueError for a width that leaves no level beside zero, or rounds nothing in half precision."""
    if not LEAST <= whole(settings, "bits") <= MOST:
        raise ValueError(f"bits must be from {LEAST} to {MOST}, not {settings['bits']}")


WORD = Refinement(
    name="bits",
    sentence="bits=8 or bits=4 rounds the survivors, row by row and symmetric, so that zeros stay zero.",
    source="Xu et al. (Compress, then Prompt), 2023, arXiv 2305.11186, without its prompt",
    settings={"bits": 8},
    check=check,
    on=bits,
)
