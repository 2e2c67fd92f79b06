"""Wanda's score with the gradient of the loss beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.scores.wanda import wanda
from accelsim.prune.word import Score, Settings, number

if TYPE_CHECKING:
    import torch

    from accelsim.prune.statistics import Seen

REFERENCE_LENGTH, REFERENCE_SAMPLES = 2048, 128
"""The published alpha is of sums over so many tokens and texts; ours are means."""


def gblm(weight: torch.Tensor, seen: Seen, settings: Settings) -> torch.Tensor:
    """|W| ||X_j|| + alpha |W| ||G||, in the units of the published code whatever the calibration's size."""
    activations = wanda(weight, seen, settings) * REFERENCE_LENGTH**0.5
    gradients = seen.gradient * REFERENCE_SAMPLES**0.5
    scores: torch.Tensor = activations + number(settings, "alpha") * weight.abs() * gradients
    return scores


WORD = Score(
    name="gblm",
    sentence="Wanda's score plus alpha x |weight| x norm of its gradient over texts.",
    source="Das et al., 2023, arXiv 2311.04902; alpha as in VILA-Lab/GBLM-Pruner",
    settings={"alpha": 100.0},
    needs=frozenset({"squares", "gradients"}),
    of=gblm,
    per="row",
)
