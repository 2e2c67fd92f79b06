"""The layer's Hessian, its damped inverse, and what goes by it. All in float64: inputs are near singular.

Sources: Frantar and Alistarh, "SparseGPT", ICML 2023, and its public code; H = 2/n sum of x x^T over tokens.
Kurtic et al., "ZipLM", NeurIPS 2023, section 3, for whole columns.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from accelsim.prune.sweep import swept_columns

Choose = Callable[[torch.Tensor, int], torch.Tensor]
"""From the scores of some columns (rows, columns) and the first column's number to what is kept."""


def damped(gram: torch.Tensor, damping: float) -> torch.Tensor:
    """(groups, columns, columns) in float64: dead inputs get a 1, the diagonal `damping` x its mean more."""
    hessian = gram.double().clone()
    diagonal = hessian.diagonal(dim1=1, dim2=2)
    diagonal += (diagonal == 0).to(diagonal.dtype)
    diagonal += damping * diagonal.mean(dim=1, keepdim=True)
    return hessian


def inverse_factor(gram: torch.Tensor, damping: float) -> torch.Tensor:
    """U, upper triangular, with H^-1 = U^T U. U_jj^2 is the first diagonal entry of inv(H[j:, j:])."""
    lower = torch.linalg.cholesky(damped(gram, damping))
    upper: torch.Tensor = torch.linalg.cholesky(torch.cholesky_inverse(lower), upper=True)
    return upper


def swept(
    weight: torch.Tensor, factor: torch.Tensor, *, choose: Choose, chosen_at_once: int, block: int
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """One group's weights (rows, columns) after the sweep, what is kept, and the squared error.

    `choose` sees the scores of `chosen_at_once` columns, which divides `block`, at the weights of then.
    The error is trace(D H D^T), D what changed; errors reach columns outside the block when it ends.
    """
    width = weight.shape[1]
    new, kept = weight.double(), torch.ones_like(weight, dtype=torch.bool)
    diagonal = factor.diagonal().square()
    error = 0.0
    for start in range(0, width, block):
        end = min(start + block, width)
        lost = torch.zeros(len(new), end - start, dtype=new.dtype)
        for first in range(start, end, chosen_at_once):
            last = min(first + chosen_at_once, end)
            part = new[:, first:last].contiguous()
            kept[:, first:last] = choose((part.square() / diagonal[first:last]).float(), first)
            square = factor[first:last, first:last].contiguous()
            missed, squares = swept_columns(
                part.numpy(), kept[:, first:last].contiguous().numpy(), square.numpy()
            )
            error += squares
            new[:, first:last] = part
            lost[:, first - start : last - start] = torch.from_numpy(missed)
            new[:, last:end] -= torch.from_numpy(missed) @ factor[first:last, last:end]
        new[:, end:] -= lost @ factor[start:end, end:]
    return new.to(weight.dtype), kept, error


def shares(weight: torch.Tensor, inverse: torch.Tensor, together: int) -> torch.Tensor:
    """Each weight's share of w_Q^T ([H^-1]_QQ)^-1 w_Q, the cost of zeroing `together` neighbours Q.

    weight: (..., columns); inverse: H^-1, (..., columns, columns), leading axes that fit the weight's. Shares
    of one Q add up to its cost; alone, a weight's share is w^2 / [H^-1]_qq.
    """
    curvature = torch.linalg.inv(diagonal_blocks(inverse, together))
    parts = weight.reshape(*weight.shape[:-1], -1, together)
    found: torch.Tensor = (parts * torch.einsum("...ij,...j->...i", curvature, parts)).flatten(-2)
    return found


def diagonal_blocks(matrix: torch.Tensor, side: int) -> torch.Tensor:
    """(..., count side, count side) to its blocks on the diagonal, (..., count, side, side)."""
    count = matrix.shape[-1] // side
    split = matrix.reshape(*matrix.shape[:-2], count, side, count, side)
    blocks: torch.Tensor = split.diagonal(dim1=-4, dim2=-2).movedim(-1, -3)
    return blocks


def without_columns(
    weight: torch.Tensor, hessian: torch.Tensor, together: int, goes: int
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Weight (rows, columns) without `goes` of its structures, what is kept of it, and the squared error.

    Structures are `together` neighbouring columns. The one with least tr(W_S ([H^-1]_SS)^-1 W_S^T) goes, of
    equals the first; the rest makes up for it, and the next one is chosen anew. The error is tr(D H D^T).
    """
    new, inverse = weight.double().clone(), torch.linalg.inv(hessian)
    stays = torch.ones(weight.shape[1] // together, dtype=torch.bool)
    error = 0.0
    for _ in range(goes):
        costs = shares(new, inverse, together).sum(dim=0).reshape(-1, together).sum(dim=1)
        costs = costs.masked_fill(~stays, float("inf"))
        least = int(costs.argmin())
        gone = slice(least * together, (least + 1) * together)
        error += float(costs[least])
        factor = torch.linalg.solve(inverse[gone, gone], inverse[gone])
        new -= new[:, gone] @ factor
        inverse -= inverse[:, gone] @ factor
        # What is gone touches nothing any more; ones on its diagonal keep its block regular.
        inverse[gone] = inverse[:, gone] = 0
        inverse[gone, gone] = torch.eye(together, dtype=inverse.dtype)
        new[:, gone] = 0
        stays[least] = False
    kept = stays.repeat_interleave(together)[None].expand(weight.shape)
    return new, kept, error
