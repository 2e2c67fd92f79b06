"""The other weights of a block make up for those that went, by the curvature of the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.scores.obert import SETTINGS
from accelsim.prune.word import Refinement, Settings, number, whole

if TYPE_CHECKING:
    from accelsim.prune.cut import Cut


def surgeon(cut: Cut, settings: Settings) -> None:
    """w_K + F_KK^-1 F_KP w_P: least d^T F d where the pruned P are zero, block by block.

    For one pruned weight this is the published w - F^-1 e_q w_q / [F^-1]_qq; of several, the published code
    adds up the updates of each alone, and what is solved here is all of them together.
    """
    import torch

    from accelsim.prune.fisher import in_blocks, in_rows, with_ridge

    span = whole(settings, "span")
    blocks = with_ridge(cut.seen.fisher, number(settings, "ridge"))
    dense, kept = in_blocks(cut.dense.double(), span), in_blocks(cut.kept.double(), span)
    asked = (blocks @ (dense * (1 - kept))[..., None])[..., 0] * kept
    # Rows and columns of what went are those of the identity, so that its gain is 0.
    among_kept = blocks * kept[..., :, None] * kept[..., None, :]
    gain = torch.linalg.solve(among_kept + torch.diag_embed(1 - kept), asked)
    cut.weight = in_rows(dense * kept + gain, cut.dense.shape[-1]).to(cut.dense.dtype)


WORD = Refinement(
    name="surgeon",
    sentence="The other weights of each block of the empirical Fisher matrix make up for those that went.",
    source="Kurtic et al. (oBERT), EMNLP 2022, arXiv 2203.07259",
    settings=SETTINGS,
    needs=frozenset({"fisher"}),
    on=surgeon,
    restarts=True,
)
