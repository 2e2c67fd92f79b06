"""First order: what the loss changes by if the weight goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.word import Score, Settings

if TYPE_CHECKING:
    import torch

    from accelsim.prune.statistics import Seen


def taylor(weight: torch.Tensor, seen: Seen, settings: Settings) -> torch.Tensor:
    """|W| x root of the mean square of its gradient over samples."""
    return weight.abs() * seen.gradient


WORD = Score(
    name="taylor",
    sentence="First-order Taylor: |weight| x root mean square of its gradient over samples.",
    source="Molchanov et al., CVPR 2019, arXiv 1906.10771",
    needs=frozenset({"gradients"}),
    of=taylor,
)
