"""Importance for a domain, held to importance in general."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.word import Score, Settings, whole

if TYPE_CHECKING:
    import torch

    from accelsim.prune.statistics import Seen


def dpruner(weight: torch.Tensor, seen: Seen, settings: Settings) -> torch.Tensor:
    """|g W + (g W)^2 / 2| of a loss that is regularised by general importance (`accelsim.prune.dual`)."""
    return seen.dual


def check(settings: Settings) -> None:
    """ValueError if no samples are left for the domain."""
    if whole(settings, "general") >= whole(settings, "samples"):
        raise ValueError(
            f"general must be below the {settings['samples']} samples, of which the rest are the domain's, "
            f"not {settings['general']}"
        )


WORD = Score(
    name="dpruner",
    sentence="D-Pruner: what the loss on a domain (--text FILE) loses, with a term that holds weights of "
    "general importance; the first `general` samples are not the domain's.",
    source="Zhang et al. (D-Pruner), 2024, arXiv 2405.06275",
    settings={"general": 16, "strength": 0.1, "rate": 0.03, "clip": 1.0, "damping": 0.01},
    needs=frozenset({"dual"}),
    check=check,
    of=dpruner,
)
