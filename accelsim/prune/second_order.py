"""The layer's Hessian, its damped inverse, and SparseGPT's sweep. All in float64: inputs are near singular.

Source: Frantar and Alistarh, "SparseGPT", ICML 2023, and its public code; H = 2/n sum of x x^T over tokens.
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
