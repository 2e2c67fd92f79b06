"""Grow one weight and prune another in each row while that brings the expected output nearer to the dense."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.prune.kinds import KINDS, kind_of
from accelsim.prune.word import Refinement, Settings, number, whole
from accelsim.words import unknown

if TYPE_CHECKING:
    import torch

    from accelsim.prune.cut import Cut

NONE = "none"
"""Said of `skip`: no layer is."""


def dsnot(cut: Cut, settings: Settings) -> None:
    """Swap weights of the mask, all rows at once; the count of each row, or of each N:M group, stays.

    C_ij = W_ij E[x_j] is what a weight adds to the expected output; e_i, the sum of C over what is pruned, is
    what the row lacks. Grown is the pruned weight whose C / var(x_j)^power shrinks e most; pruned the kept
    one of the lowest |W| ||x_j||: of those whose loss shrinks e as well, in N:M of the same group. A row is
    done once |e| <= `threshold` x root mean square of the layer's dense expected output, or, in N:M, when a
    swap would turn e's sign; one that would not shrink |e| is passed over. Layers of the kinds in `skip`
    keep their mask.
    """
    import torch

    if kind_of(cut.name) in skipped(settings):
        return
    seen, dense = cut.seen, cut.dense
    added = dense * seen.means[:, None, :]
    scale = seen.variances[:, None, :].clamp_min(torch.finfo(torch.float32).eps) ** number(settings, "power")
    wanda = dense.abs() * seen.squares.sqrt()[:, None, :]
    limit = number(settings, "threshold") * added.sum(dim=2).square().mean(dim=1, keepdim=True).sqrt()
    for group in range(len(dense)):
        cut.kept[group] = swapped(
            cut.kept[group],
            added[group],
            growth=(added / scale)[group],
            order=wanda[group],
            limit=float(limit[group]),
            cycles=whole(settings, "cycles"),
            m=cut.amount.m,
        )
    cut.weight = dense * cut.kept


def swapped(
    kept: torch.Tensor,
    added: torch.Tensor,
    *,
    growth: torch.Tensor,
    order: torch.Tensor,
    limit: float,
    cycles: int,
    m: int,
) -> torch.Tensor:
    """The mask (rows, columns) after at most `cycles` swaps in each row; with `m`, inside groups of M.

    An expected output is a mean that a few swaps make up for, and each swap gives up a weight that scores
    more than the one it brings. Rows of N:M that went on behind the first turn of the sign made up for less
    of the output than they lost, which is why that ends them, as in the published code.
    """
    import torch

    kept, rows = kept.clone(), torch.arange(len(kept))
    counts, never = kept.sum(dim=1), torch.tensor(float("inf"))
    # Orders are those of the start: what was swapped, or passed over, is not looked at again.
    growable, prunable = ~kept, kept.clone()
    lacking = (added * ~kept).sum(dim=1)
    going = torch.ones_like(lacking, dtype=torch.bool)
    for _ in range(cycles):
        active = going & (lacking.abs() > limit)
        sign = lacking.sign()
        gain, grown = torch.where(growable, growth * sign[:, None], -never).max(dim=1)
        active &= gain > 0
        if not active.any():
            break
        if m:
            candidates = prunable & (torch.arange(kept.shape[1])[None, :] // m == (grown // m)[:, None])
        else:
            candidates = prunable & (added * sign[:, None] < 0)
        cost, lost = torch.where(candidates, order, never).min(dim=1)
        after = lacking + added[rows, lost] - added[rows, grown]
        growable[rows[active], grown[active]] = False
        if m:
            going &= (after.sign() == sign) | ~active
            active &= going
        # The published code lets a swap overshoot in unstructured masks; here |e| never grows.
        active &= (cost < never) & (after.abs() < lacking.abs())
        chosen = rows[active]
        kept[chosen, grown[active]] = True
        kept[chosen, lost[active]] = False
        prunable[chosen, lost[active]] = False
        lacking = torch.where(active, after, lacking)
    assert torch.equal(kept.sum(dim=1), counts)
    return kept


def skipped(settings: Settings) -> list[str]:
    """The kinds of layers that `skip` names."""
    said = str(settings["skip"])
    return [] if said == NONE else said.split("/")


def check(settings: Settings) -> None:
    """ValueError for a kind that there is not."""
    for kind in skipped(settings):
        if kind not in KINDS:
            raise ValueError(unknown("skip", kind, [NONE, *KINDS]))


WORD = Refinement(
    name="dsnot",
    sentence="Dynamic sparse no training: swaps weights in and out of the mask until each row's expected "
    "output is the dense one's.",
    source="Zhang et al., ICLR 2024, arXiv 2310.08915",
    settings={"cycles": 50, "threshold": 0.01, "power": 1.0, "skip": "mlp"},
    needs=frozenset({"moments"}),
    check=check,
    on=dsnot,
    restarts=True,
    changes_mask=True,
)
