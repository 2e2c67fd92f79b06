"""A linear layer as ARMOR leaves it: y = A ((S o M) (B x)) + bias, with A and B of dense blocks."""

from __future__ import annotations

import torch
from torch import nn


class Factored(nn.Module):
    """`behind` (R, d, d) and `before` (C, d, d) around `core` (R d, C d), a linear layer without bias."""

    def __init__(
        self,
        behind: torch.Tensor,
        core: torch.Tensor,
        before: torch.Tensor,
        bias: torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        rows, columns = core.shape
        self.before = Blocks(before)
        self.core = nn.Linear(columns, rows, bias=False)
        self.core.weight = nn.Parameter(core, requires_grad=False)
        self.behind = Blocks(behind)
        self.bias = bias

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """(..., columns) to (..., rows)."""
        output: torch.Tensor = self.behind(self.core(self.before(given)))
        return output if self.bias is None else output + self.bias


class Blocks(nn.Module):
    """A product with a block-diagonal matrix of `blocks` (count, d, d)."""

    def __init__(self, blocks: torch.Tensor) -> None:
        super().__init__()
        self.blocks = nn.Parameter(blocks, requires_grad=False)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """(..., count d) to the same shape."""
        count, side, _ = self.blocks.shape
        parts = given.reshape(-1, count, side).transpose(0, 1)
        return torch.bmm(parts, self.blocks.transpose(1, 2)).transpose(0, 1).reshape(given.shape)
