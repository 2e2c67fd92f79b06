"""EfficientNet-Lite0 in plain torch, under the names of the published weights.

Tan and Le, "EfficientNet", ICML 2019, table 1, in the Lite form: ReLU6, no squeeze-and-excitation, stem and
head not scaled. Padding is that of TensorFlow, where the weights were trained.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import nn

# Blocks, kernel, stride of the first block, expansion, output channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, HEAD, CLASSES, SIDE = 32, 1280, 1000, 224
EPSILON = 1e-3


class SamePadConv2d(nn.Conv2d):
    """A convolution whose output has ceil(input / stride) positions; what is odd is padded at the end."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002, the name of the base class
        """(batch, channels, height, width) to the same with the output's channels and sizes."""
        padding: list[int] = []
        for size, kernel, stride in zip(input.shape[:1:-1], self.kernel_size[::-1], self.stride, strict=True):
            missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            padding += [missing // 2, missing - missing // 2]
        return super().forward(nn.functional.pad(input, padding) if any(padding) else input)


class Block(nn.Module):
    """Widen, filter each channel by itself, narrow; added to the input where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.is_residual = stride == 1 and inputs == outputs
        self._expand_conv = SamePadConv2d(inputs, wide, 1, bias=False) if expansion > 1 else None
        self._bn0 = nn.BatchNorm2d(wide, eps=EPSILON) if expansion > 1 else None
        self._depthwise_conv = SamePadConv2d(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = nn.BatchNorm2d(wide, eps=EPSILON)
        self._project_conv = SamePadConv2d(wide, outputs, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(outputs, eps=EPSILON)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, height, width) to (batch, outputs, ceil(height / stride), ceil(width / stride))."""
        hidden = x
        if self._expand_conv is not None and self._bn0 is not None:
            hidden = nn.functional.relu6(self._bn0(self._expand_conv(hidden)))
        hidden = nn.functional.relu6(self._bn1(self._depthwise_conv(hidden)))
        hidden = self._bn2(self._project_conv(hidden))
        result: torch.Tensor = hidden + x if self.is_residual else hidden
        return result


class EfficientNetLite0(nn.Module):
    """49 convolutions and a classifier over the 1,000 classes of ImageNet."""

    main_input_name = "pixel_values"

    def __init__(self) -> None:
        super().__init__()
        half = (0.5, 0.5, 0.5)
        self.config = SimpleNamespace(image_size=SIDE, num_channels=3, image_mean=half, image_std=half)
        self._conv_stem = SamePadConv2d(3, STEM, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(STEM, eps=EPSILON)
        blocks, channels = [], STEM
        for count, kernel, stride, expansion, outputs in STAGES:
            for index in range(count):
                blocks.append(Block(channels, outputs, kernel, stride if index == 0 else 1, expansion))
                channels = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SamePadConv2d(channels, HEAD, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(HEAD, eps=EPSILON)
        self._fc = nn.Linear(HEAD, CLASSES)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(batch, 3, height, width) in -1 to 1, to logits (batch, 1000)."""
        hidden = nn.functional.relu6(self._bn0(self._conv_stem(pixel_values)))
        for block in self._blocks:
            hidden = block(hidden)
        hidden = nn.functional.relu6(self._bn1(self._conv_head(hidden)))
        logits: torch.Tensor = self._fc(hidden.mean(dim=(2, 3)))
        return logits
