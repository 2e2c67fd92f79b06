"""What a head that left makes useless: its rows of the layers that give Q, K and V.

FLAP (An et al., AAAI 2024) and ZipLM (Kurtic et al., NeurIPS 2023) take a head out as a whole. What it gave
was multiplied by zero, so nothing that the model puts out changes by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from accelsim.prune.fitted import Fitted
from accelsim.prune.kinds import qkv_of
from accelsim.prune.matrices import Matrix, matrices
from accelsim.prune.word import whole


def clear_head_rows(module: Any, fitted: Fitted) -> None:
    """Add to what was `fitted` with the pattern `heads` zero rows and biases of Q, K and V.

    Where these are linear layers of their own, one row for each input of the projection behind: rows of fused
    ones have no common order. A K/V head that several heads share goes when all of them have gone.
    """
    width = whole(fitted.recipe.shaping(module), "width")
    layers = {matrix.name: matrix for matrix in matrices(module)}
    for name, weight in list(fitted.weights.items()):
        if name in fitted.factors:
            continue
        stays = (weight.movedim(layers[name].axis, -1) != 0).flatten(0, -2).any(0).reshape(-1, width).any(1)
        for other, shared in _givers(name, layers, len(stays) * width).items():
            _clear(layers[other], stays.reshape(-1, shared).any(1), width, fitted)


def _givers(name: str, layers: Mapping[str, Matrix], columns: int) -> dict[str, int]:
    """The layers of Q, K and V before a projection of so many inputs, and how many heads share one of theirs.

    Empty unless all three are known.
    """
    found: dict[str, int] = {}
    for other in qkv_of(name, layers):
        matrix = layers[other]
        rows = matrix.size // matrix.shape[-1]
        if not matrix.is_linear or matrix.obstacle or columns % rows:
            return {}
        found[other] = columns // rows
    queries = next(iter(found.values()), 0)
    return found if queries == 1 else {}


def _clear(matrix: Matrix, stays: torch.Tensor, width: int, fitted: Fitted) -> None:
    """Zero the rows of heads that do not stay, in weight and bias."""
    gone = ~stays.repeat_interleave(width)
    if not gone.any():
        return
    rows = matrix.read()
    rows[:, gone] = 0
    fitted.weights[matrix.name] = matrix.shaped(rows).to(matrix.weight.dtype)
    fitted.left_dense.pop(matrix.name, None)
    bias = matrix.layer.bias
    if bias is not None:
        fitted.bias[matrix.name] = torch.where(gone, -bias.detach().cpu().float(), 0.0)
