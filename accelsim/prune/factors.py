"""ARMOR's descent: dense blocks A and B around an N:M core S, fitted to sum of d_j (W - A (S o M) B)_ij^2.

Source: "ARMOR" (arXiv 2510.05528) and its public code. Each step moves A, B and S by Adam, then chooses one
group of M in every block anew, with the values that are best for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations

import torch

from accelsim.prune.adam import Adam

RIDGE = 1e-9
PATIENCE = 100  # steps without a better loss


@dataclass
class Core:
    """A (R, d, d), S, its mask (R d, C d), and B (C, d, d); the weight and the d_j that they are fitted to.

    `halfway` is A (S o M) and `residual` A (S o M) B - W, both of the last `refresh` or `choose_groups`.
    """

    weight: torch.Tensor
    importance: torch.Tensor
    behind: torch.Tensor
    values: torch.Tensor
    kept: torch.Tensor
    before: torch.Tensor
    halfway: torch.Tensor = field(init=False)
    residual: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.refresh()

    @property
    def block(self) -> int:
        """Side of the dense blocks."""
        return self.behind.shape[1]

    @property
    def sparse(self) -> torch.Tensor:
        """S o M, as A's blocks meet it: (R, d, C d)."""
        return (self.values * self.kept).reshape(len(self.behind), self.block, -1)

    def refresh(self) -> None:
        """Compute both products anew."""
        self.halfway = (self.behind @ self.sparse).reshape(self.weight.shape)
        self.residual = times_blocks(self.halfway, self.before) - self.weight

    def error(self) -> float:
        """Sum of d_j residual_ij^2."""
        return float((self.residual.square() @ self.importance).sum())

    def gradients(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of half the error, by A, by the masked product S o M, and by B."""
        weighted = self.residual * self.importance
        by_before = _blocks(self.halfway, self.block).transpose(1, 2) @ _blocks(weighted, self.block)
        by_half = times_blocks(weighted, self.before.transpose(1, 2)).reshape(self.sparse.shape)
        by_behind = by_half @ self.sparse.transpose(1, 2)
        by_core = (self.behind.transpose(1, 2) @ by_half).reshape(self.weight.shape)
        return by_behind, by_core, by_before


def fitted(
    weight: torch.Tensor,
    kept: torch.Tensor,
    importance: torch.Tensor,
    *,
    n: int,
    m: int,
    block: int,
    steps: int,
    rate: float,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, list[float]]:
    """A, the masked core and B for a normalised weight (rows, columns), and the loss of each step.

    `importance`: mean square of each input. The loss is the error over that of a weight of zeros. The best
    step is given back, the start included.
    """
    rows, columns = weight.shape
    identity = torch.eye(block)
    core = Core(
        weight=weight,
        importance=importance,
        behind=identity.repeat(rows // block, 1, 1),
        values=weight.clone(),
        kept=kept.clone(),
        before=identity.repeat(columns // block, 1, 1),
    )
    moves = Adam([core.behind, core.values, core.before], rate)
    whole = float((weight.square() @ importance).sum())
    losses = [core.error() / whole]
    best, since = _copied(core), 0
    for _ in range(steps):
        by_behind, by_core, by_before = core.gradients()
        moves.step([by_behind * (2 / whole), by_core * core.kept * (2 / whole), by_before * (2 / whole)])
        core.refresh()
        choose_groups(core, by_core, n, m, generator)
        losses.append(core.error() / whole)
        since += 1
        if losses[-1] < min(losses[:-1]):
            best, since = _copied(core), 0
        if since >= PATIENCE:
            break
    return *best, losses


def choose_groups(core: Core, gradient: torch.Tensor, n: int, m: int, generator: torch.Generator) -> None:
    """In every block, the best N weights and values of one group of M, drawn by the gradient's size."""
    rows, columns = core.weight.shape
    side = core.block
    high, wide, groups = rows // side, columns // side, side // m
    sizes = gradient.abs().reshape(high, side, wide, groups, m).sum(dim=-1)
    flat = sizes.permute(0, 2, 1, 3).reshape(high * wide, side * groups) + torch.finfo(torch.float32).tiny
    drawn = torch.multinomial(flat, 1, generator=generator)[:, 0]
    down, across = torch.arange(high).repeat_interleave(wide), torch.arange(wide).repeat(high)
    row, place = drawn // groups, (drawn % groups)[:, None] * m + torch.arange(m)
    at = (down * side + row)[:, None], across[:, None] * side + place
    # All weighted by d: h = B~ R^T a, where R lacks the group, whose rank-one part is taken out afterwards.
    taps = core.before[across[:, None], place]
    weighted = taps * core.importance.reshape(wide, 1, side)[across]
    column = core.behind[down, :, row]
    residual = core.residual.view(high, side, wide, side).permute(0, 2, 1, 3)
    pulled = (column.view(high, wide, 1, side) @ residual).view(-1, 1, side) @ weighted.transpose(1, 2)
    gram = weighted @ taps.transpose(1, 2)
    square = column.square().sum(dim=1, keepdim=True)
    old = (core.values * core.kept)[at]
    values, choice = _best_choice(gram, pulled[:, 0] - square * (old[:, None, :] @ gram)[:, 0], square, n, m)
    core.values[at] = torch.where(choice, values, core.values[at])
    core.kept[at] = choice
    change = values * choice - old
    residual += (column[:, :, None] * (change[:, None, :] @ taps)).view(high, wide, side, side)
    lines = down[:, None] * side + torch.arange(side)
    core.halfway[lines[:, :, None], at[1][:, None, :]] += column[:, :, None] * change[:, None, :]


def _best_choice(
    gram: torch.Tensor, pulled: torch.Tensor, square: torch.Tensor, n: int, m: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of all choices of N of M, values (blocks, M) and mask of the one that lowers the error most."""
    gains, solutions = [], []
    choices = torch.tensor(list(combinations(range(m), n)))
    for choice in choices:
        part = gram[:, choice][:, :, choice] + RIDGE * torch.eye(n)
        here = pulled[:, choice]
        solved = torch.linalg.solve(part, here)
        gains.append((here * solved).sum(dim=1))
        solutions.append(torch.zeros_like(pulled).index_copy(1, choice, -solved / (square + 1e-8)))
    best = torch.stack(gains).argmax(dim=0)
    masks = torch.zeros(len(choices), m, dtype=torch.bool).scatter_(1, choices, True)
    return torch.stack(solutions)[best, torch.arange(len(best))], masks[best]


def product(behind: torch.Tensor, core: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """A S B: (rows, columns)."""
    halfway = behind @ core.reshape(len(behind), -1, core.shape[1])
    return times_blocks(halfway.reshape(core.shape), before)


def times_blocks(matrix: torch.Tensor, blocks: torch.Tensor) -> torch.Tensor:
    """(rows, C d) times a block-diagonal matrix (C, d, d)."""
    product = _blocks(matrix, blocks.shape[1]) @ blocks
    return product.transpose(0, 1).reshape(matrix.shape)


def _blocks(matrix: torch.Tensor, side: int) -> torch.Tensor:
    """(rows, C d) as (C, rows, d)."""
    return matrix.reshape(len(matrix), -1, side).transpose(0, 1)


def _copied(core: Core) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return core.behind.clone(), core.values * core.kept, core.before.clone()
