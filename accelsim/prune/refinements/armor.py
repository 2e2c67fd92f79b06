"""W is replaced by A (S o M) B: small dense blocks around an N:M core, fitted to the layer's weighted error.

A convolution, or a layer whose sides are no whole blocks, keeps its mask alone, and the reason is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.word import Refinement, Settings, number, whole

if TYPE_CHECKING:
    from accelsim.prune.cut import Cut
    from accelsim.prune.patterns.base import Amount


def armor(cut: Cut, settings: Settings) -> None:
    """Block coordinate descent from A = B = I and the mask that is there; never worse than its start."""
    import torch

    from accelsim.prune.factors import fitted
    from accelsim.prune.scores.nowag import normalised

    fits(cut.amount, settings)
    block = whole(settings, "block")
    _, rows, columns = cut.dense.shape
    if not cut.is_linear:
        cut.unrefined = "armor puts blocks around linear layers, and this is a convolution"
    elif rows % block or columns % block:
        cut.unrefined = f"armor's blocks of {block} must divide {rows} x {columns}"
    if cut.unrefined:
        return
    scaled, column_norms, row_norms = normalised(cut.dense)
    behind, core, before, _ = fitted(
        scaled[0],
        cut.kept[0],
        cut.seen.squares[0],
        n=cut.amount.n,
        m=cut.amount.m,
        block=block,
        steps=whole(settings, "steps"),
        rate=number(settings, "rate"),
        generator=torch.Generator().manual_seed(whole(settings, "seed")),
    )
    behind = behind * row_norms[0].reshape(-1, block, 1)
    before = before * column_norms[0].reshape(-1, 1, block)
    cut.factors = behind, before
    cut.kept = (core != 0)[None]
    cut.weight = core[None]


def fits(amount: Amount, settings: Settings) -> None:
    """ValueError for blocks that cut through groups of M."""
    block = whole(settings, "block")
    if block % amount.m:
        raise ValueError(f"armor's block must be a multiple of {amount.m}, the M of {amount}, not {block}")


WORD = Refinement(
    name="armor",
    sentence="W becomes A (S o M) B, an N:M core between block-diagonal matrices, by coordinate descent.",
    source="ARMOR, 2025, arXiv 2510.05528; nowag,2:4,armor is the paper's start",
    settings={"block": 32, "steps": 300, "rate": 0.001, "seed": 0},
    needs=frozenset({"squares"}),
    on=armor,
    only="nm",
    restarts=True,
    fits=fits,
)
