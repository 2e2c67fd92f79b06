"""A small vision transformer in plain torch for Fashion-MNIST: 16 patches of 7 x 7, 4 blocks of width 64.

Its weights come from training; it is no model of `accelsim models`. It has 140,042 parameters.
"""

from __future__ import annotations

import torch
from torch import nn


class SmallVit(nn.Module):
    """Patches and a class token, blocks with the norms first, and a linear classifier on the class token."""

    dataset = "fashion-mnist"

    def __init__(
        self, *, width: int = 64, blocks: int = 4, heads: int = 4, inner: int = 128, patch: int = 7
    ) -> None:
        super().__init__()
        tokens = (28 // patch) ** 2 + 1
        self.patches = nn.Conv2d(1, width, patch, stride=patch)
        self.classifying = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, tokens, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, heads, inner) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(batch, 1, 28, 28) to logits (batch, 10)."""
        patches = self.patches(pictures).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.classifying.expand(len(patches), -1, -1), patches], dim=1)
        logits: torch.Tensor = self.head(self.norm(self.blocks(tokens + self.positions))[:, 0])
        return logits


class Block(nn.Module):
    """Attention and two linear layers, each with a way around."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(batch, tokens, width), the same."""
        given = self.before(tokens)
        query, key, value = (
            each(given).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for each in (self.query, self.key, self.value)
        )
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.output(mixed.transpose(1, 2).flatten(2))
        result: torch.Tensor = tokens + self.down(nn.functional.gelu(self.up(self.between(tokens))))
        return result
