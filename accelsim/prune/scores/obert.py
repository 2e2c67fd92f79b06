"""Second order of the loss itself: what it loses if the weight, or a block of weights, goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.word import Score, Settings, whole

if TYPE_CHECKING:
    import torch

    from accelsim.prune.statistics import Seen

SETTINGS: Settings = {"span": 16, "ridge": 0.01}
"""Columns of a block of the Fisher matrix, and what its diagonal gets more, as a share of its mean."""


def obert(weight: torch.Tensor, seen: Seen, settings: Settings) -> torch.Tensor:
    """w_q^2 / (2 [F^-1]_qq); of weights Q that go together shares of w_Q^T ([F^-1]_QQ)^-1 w_Q / 2.

    F: the empirical Fisher matrix by blocks (`accelsim.prune.fisher`).
    """
    from accelsim.prune.fisher import in_blocks, in_rows, inverse
    from accelsim.prune.second_order import shares

    together, span = whole(settings, "together"), whole(settings, "span")
    if span % together:
        raise ValueError(
            f"obert's span must be a multiple of the {together} columns that go together, not {span}"
        )
    blocks = in_blocks(weight.double(), span)
    lost = shares(blocks, inverse(seen.fisher, settings), together) / 2
    return in_rows(lost, weight.shape[-1]).to(weight.dtype)


WORD = Score(
    name="obert",
    sentence="Optimal BERT surgeon: weight^2 / (2 [inverse empirical Fisher by blocks]_qq), of 4-blocks the "
    "cost of all four: obert,0.5,blocks; with surgeon the other weights of a block make up for what went.",
    source="Kurtic et al. (oBERT), EMNLP 2022, arXiv 2203.07259",
    settings=SETTINGS,
    needs=frozenset({"fisher"}),
    of=obert,
)
