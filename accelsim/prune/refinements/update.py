"""The other weights of a row make up for those that went: SparseGPT's sweep with a mask that is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from accelsim.prune.word import Refinement, Settings, number, whole

if TYPE_CHECKING:
    import torch

    from accelsim.prune.cut import Cut


def update(cut: Cut, settings: Settings) -> None:
    """Sweep over the columns of the dense weight, zero what the mask zeros, and pass the error on."""
    from accelsim.prune.second_order import inverse_factor, swept

    factors = inverse_factor(cut.seen.gram, number(settings, "damping"))
    for group, factor in enumerate(factors):
        cut.weight[group] = swept(
            cut.dense[group],
            factor,
            choose=_as_it_is(cut.kept[group]),
            chosen_at_once=whole(settings, "block"),
            block=whole(settings, "block"),
        )[0]


def _as_it_is(mask: torch.Tensor) -> Callable[[torch.Tensor, int], torch.Tensor]:
    return lambda scores, start: mask[:, start : start + scores.shape[1]]


WORD = Refinement(
    name="update",
    sentence="The columns that follow make up for each weight that went, in SparseGPT's one sweep.",
    source="Frantar and Alistarh, ICML 2023, arXiv 2301.00774",
    settings={"damping": 0.01, "block": 128},
    needs=frozenset({"gram"}),
    on=update,
    restarts=True,
)
