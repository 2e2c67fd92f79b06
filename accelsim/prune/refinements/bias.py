"""What the weights that went gave on average becomes bias."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.word import Refinement, Settings

if TYPE_CHECKING:
    from accelsim.prune.cut import Cut


def bias(cut: Cut, settings: Settings) -> None:
    """b += (W - W') E[x]."""
    lost = (cut.dense - cut.weight) @ cut.seen.means[:, :, None]
    cut.bias = lost[:, :, 0] if cut.bias is None else cut.bias + lost[:, :, 0]


WORD = Refinement(
    name="bias",
    sentence="The mean output of what went is added to the bias.",
    source="An et al. (FLAP), AAAI 2024, arXiv 2312.11983",
    needs=frozenset({"moments"}),
    on=bias,
)
