"""Whole heads of attention go: their inputs of the projection behind it, and what only these read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accelsim.golden.attention import keep_count
from accelsim.prune.kinds import OUTPUTS
from accelsim.prune.patterns.base import Amount, Pattern
from accelsim.prune.patterns.unstructured import largest
from accelsim.prune.word import Settings, whole

if TYPE_CHECKING:
    import torch


def heads(scores: torch.Tensor, amount: Amount, settings: Settings) -> torch.Tensor:
    """Of the heads, ranked by the sum of their scores, the fraction stays."""
    width = whole(settings, "width")
    groups, rows, columns = scores.shape
    sums = scores.double().reshape(groups, rows, columns // width, width).sum(dim=(1, 3))
    kept = largest(sums, keep_count(sums.shape[1], amount.keep)).repeat_interleave(width, dim=1)
    return kept[:, None, :].expand(scores.shape).clone()


def derived(module: Any) -> Settings:
    """The width of a head, as the module's configuration says it; 0 if it says none."""
    config = getattr(module, "config", None)
    width = getattr(config, "head_dim", None)
    if not width:
        count, hidden = (getattr(config, name, None) for name in ("num_attention_heads", "hidden_size"))
        width = hidden // count if count and hidden else 0
    return {"width": int(width)}


def where(name: str, columns: int, settings: Settings) -> str:
    """Only projections behind attention have heads."""
    width = whole(settings, "width")
    if not width:
        return "the model says of no heads how wide they are"
    if not name.endswith(OUTPUTS):
        return "no projection behind attention"
    return f"{columns} inputs are no whole heads of {width}" if columns % width else ""


WORD = Pattern(
    name="heads",
    said="heads",
    sentence="Whole heads of attention go, by what the projection behind it reads: flap,0.75,heads,bias.",
    source="Michel et al., NeurIPS 2019, arXiv 1905.10650",
    of=heads,
    derived=derived,
    where=where,
    together=lambda settings: whole(settings, "width"),
)
