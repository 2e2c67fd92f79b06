"""Second order in one sweep over the columns, with the update of those that follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.word import Score, Settings, number

if TYPE_CHECKING:
    import torch

    from accelsim.prune.statistics import Seen


def sparsegpt(weight: torch.Tensor, seen: Seen, settings: Settings) -> torch.Tensor:
    """W_ij^2 / U_jj^2 at the weights of now; U: upper Cholesky factor of the damped inverse Hessian."""
    from accelsim.prune.second_order import inverse_factor

    diagonal = inverse_factor(seen.gram, number(settings, "damping")).diagonal(dim1=1, dim2=2)
    return weight.square() / diagonal.square()[:, None, :].to(weight.dtype)


WORD = Score(
    name="sparsegpt",
    sentence="Sweeps over the columns, zeros those weights whose loss costs least, and makes up for them in "
    "the columns that follow.",
    source="Frantar and Alistarh, ICML 2023, arXiv 2301.00774",
    settings={"damping": 0.01, "block": 128},
    needs=frozenset({"gram"}),
    of=sparsegpt,
    per="block",
    sweep=True,
)
