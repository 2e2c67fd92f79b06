"""The empirical Fisher matrix of a layer's weights, in blocks of consecutive columns of a row.

Source: Kurtic et al. (oBERT), EMNLP 2022, arXiv 2203.07259, section 3: F = 1/m sum of g g^T over m gradients,
block-diagonal, plus a multiple of the identity. The inverse is exact here, where the published code updates
it gradient by gradient; the blocks do not go on from one row to the next.
"""

from __future__ import annotations

import torch

from accelsim.prune.losses import sample_gradients
from accelsim.prune.network import Network
from accelsim.prune.word import Settings, number, whole

MOST_BYTES = 4 * 2**30
"""Of all layers' blocks together."""


def fisher(network: Network) -> dict[str, torch.Tensor]:
    """By layer (groups, rows, blocks, span, span). ValueError for blocks that take too much memory."""
    word = next(word for word in network.recipe.words if "fisher" in word.needs)
    span = whole(network.recipe.set(word), "span")
    weights = sum(network.sizes.values())
    if 4 * weights * span > MOST_BYTES:
        most = MOST_BYTES // (4 * weights)
        raise ValueError(
            f"{word.name}'s blocks of {weights:,} weights must take at most {MOST_BYTES // 2**30} GiB: "
            f"span must be at most {most}, not {span}"
        )
    found: dict[str, torch.Tensor] = {}
    samples = sample_gradients(network.module, network.matrices, network.samples, network.told)
    for gradients in samples:
        for matrix, gradient in zip(network.matrices, gradients, strict=True):
            parts = in_blocks(matrix.rows_of(gradient), span)
            outer = parts[..., :, None] * parts[..., None, :]
            name = matrix.name
            found[name] = found[name].add_(outer) if name in found else outer
    return {name: total / len(network.samples) for name, total in found.items()}


def in_blocks(rows: torch.Tensor, span: int) -> torch.Tensor:
    """(groups, rows, columns) as (groups, rows, blocks, span), the last block filled up with zeros."""
    short = -rows.shape[-1] % span
    filled = torch.nn.functional.pad(rows, (0, short))
    return filled.reshape(*rows.shape[:-1], -1, span)


def in_rows(parts: torch.Tensor, columns: int) -> torch.Tensor:
    """What `in_blocks` made of so many columns, as it was."""
    return parts.flatten(-2)[..., :columns]


def with_ridge(blocks: torch.Tensor, ridge: float) -> torch.Tensor:
    """In float64, `ridge` x the mean of the layer's diagonal on the diagonal; 1 where all gradients are 0."""
    diagonal = float(blocks.diagonal(dim1=-2, dim2=-1).double().mean())
    added = ridge * diagonal if diagonal > 0 else 1.0
    return blocks.double() + added * torch.eye(blocks.shape[-1], dtype=torch.float64)


def inverse(blocks: torch.Tensor, settings: Settings) -> torch.Tensor:
    """The inverse of each block, in float64."""
    found: torch.Tensor = torch.linalg.inv(with_ridge(blocks, number(settings, "ridge")))
    return found
