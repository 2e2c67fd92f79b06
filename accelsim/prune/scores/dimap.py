"""Magnitude beside what is left of the layer when the weight's turn comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.word import Score, Settings

if TYPE_CHECKING:
    import torch

    from accelsim.prune.statistics import Seen


def dimap(weight: torch.Tensor, seen: Seen, settings: Settings) -> torch.Tensor:
    """W^2 / sum of W_i^2 over the weights of the layer that are at least as large: the largest scores 1.

    Inside a layer the order is that of magnitudes. Equal weights rank by place, the lowest first.
    """
    import torch

    squares, order = weight.double().square().flatten().sort(descending=True, stable=True)
    energy = squares.cumsum(0)
    shares = torch.empty_like(squares).scatter_(0, order, squares / energy.where(energy > 0, 1))
    return shares.reshape(weight.shape).to(weight.dtype)


WORD = Score(
    name="dimap",
    sentence="Module-aware distortion: weight^2 / energy of the layer's weights at least as large, the same "
    "at any scale; dimap,modules,0.5 ranks inside each kind of module, dimap,global,0.5 is LAMP.",
    source="He and Zhou (DIMAP), ICLR 2024, arXiv 2404.13648; LAMP: Lee et al., ICLR 2021, arXiv 2010.07611",
    of=dimap,
)
