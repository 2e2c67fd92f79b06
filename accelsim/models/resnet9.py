"""ResNet-9 in plain torch, a quarter as wide as published: a small network for Fashion-MNIST.

The form of DAWNBench (64-128-256-512), which SAT trains. Its weights come from training; it is no model of
`accelsim models`. At a quarter of the width (16, 32, 64, 128) it has 412,666 parameters.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

QUARTER = 16  # channels of the first convolution; 64 in the published network


class Widths(NamedTuple):
    """Channels of the convolutions; those of a pair are what its inner one gives."""

    stem: int
    second: int
    first_pair: int
    third: int
    fourth: int
    second_pair: int


class ResNet9(nn.Module):
    """Convolutions of `width`, 2, 4 and 8 times `width` channels, two of them pairs with a way around.

    `widths`: others than these.
    """

    dataset = "fashion-mnist"

    def __init__(
        self, *, width: int = QUARTER, channels: int = 1, classes: int = 10, widths: Widths | None = None
    ) -> None:
        super().__init__()
        wide = widths or Widths(width, 2 * width, 2 * width, 4 * width, 8 * width, 8 * width)
        self.widths = wide
        self.stem = _convolution(channels, wide.stem)
        self.second = _convolution(wide.stem, wide.second)
        self.first_pair = _pair(wide.second, wide.first_pair)
        self.third = _convolution(wide.second, wide.third)
        self.fourth = _convolution(wide.third, wide.fourth)
        self.second_pair = _pair(wide.fourth, wide.second_pair)
        self.head = nn.Linear(wide.fourth, classes)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width), at least 8 x 8, to logits (batch, classes)."""
        half = nn.functional.max_pool2d
        hidden = half(self.second(self.stem(pictures)), 2)
        hidden = hidden + self.first_pair(hidden)
        hidden = half(self.third(hidden), 2)
        hidden = half(self.fourth(hidden), 2)
        hidden = hidden + self.second_pair(hidden)
        logits: torch.Tensor = self.head(hidden.amax(dim=(2, 3)))
        return logits


def _pair(outer: int, inner: int) -> nn.Sequential:
    """Two convolutions, the second as wide as what the first is fed."""
    return nn.Sequential(_convolution(outer, inner), _convolution(inner, outer))


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    """3 x 3, same size, normalised over the batch, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )
