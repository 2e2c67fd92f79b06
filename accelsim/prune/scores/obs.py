"""Second order: what the layer's output loses if the weight goes and all others make up for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.word import Score, Settings, number

if TYPE_CHECKING:
    import torch

    from accelsim.prune.statistics import Seen


def obs(weight: torch.Tensor, seen: Seen, settings: Settings) -> torch.Tensor:
    """W_ij^2 / [H^-1]_jj, H = 2/n sum of x x^T, damped; what one removal costs is half of it."""
    import torch

    from accelsim.prune.second_order import damped

    inverse: torch.Tensor = torch.linalg.inv(damped(seen.gram, number(settings, "damping")))
    diagonal = inverse.diagonal(dim1=1, dim2=2)[:, None, :].to(weight.dtype)
    return weight.square() / diagonal


WORD = Score(
    name="obs",
    sentence="Optimal brain surgeon: weight^2 / [inverse Hessian of the layer]_jj; with update, "
    "the other weights make up for those that went.",
    source="Hassibi and Stork, NeurIPS 1992; Frantar and Alistarh, 2022, arXiv 2208.11580",
    settings={"damping": 0.01},
    needs=frozenset({"gram"}),
    of=obs,
)
