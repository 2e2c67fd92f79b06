"""Layers as matrices: weights (groups, rows, columns), and the columns of inputs that they multiply.

Rows are outputs. Columns of a convolution run over its taps, and inside each over input channels, so that
N:M groups are consecutive columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from accelsim.prune.magnitude import FORWARD, TRANSPOSED, prunable


@dataclass(frozen=True, kw_only=True, eq=False)
class Matrix:
    """A layer's weight; `obstacle`: why it cannot be cut. `along`: columns that N:M groups may not straddle.

    `layer` is None for weights that are no layer's own (those of experts).
    """

    name: str
    weight: torch.Tensor
    axis: int
    along: int
    layer: Any = None
    obstacle: str = ""

    @property
    def is_linear(self) -> bool:
        """A plain product with a matrix."""
        return isinstance(self.layer, nn.Linear) or type(self.layer).__name__ == "Conv1D"

    @property
    def groups(self) -> int:
        """Channel groups of a convolution, which are matrices of their own."""
        return int(self.layer.groups) if isinstance(self.layer, FORWARD) else 1

    @property
    def sees_inputs(self) -> bool:
        """Whether `columns` knows how inputs meet the weight."""
        return self.is_linear or isinstance(self.layer, (nn.Conv1d, nn.Conv2d))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Groups, rows and columns."""
        columns = int(self.weight.shape[self.axis])
        if isinstance(self.layer, FORWARD):
            rows = int(self.weight.shape[0]) // self.groups
            return self.groups, rows, self.size // (self.groups * rows)
        return 1, self.size // columns, columns

    @property
    def size(self) -> int:
        """Weights."""
        return self.weight.numel()

    def read(self) -> torch.Tensor:
        """A copy of the weight: (groups, rows, columns)."""
        return self.rows_of(self.weight).clone()

    def rows_of(self, like: torch.Tensor) -> torch.Tensor:
        """A tensor of the weight's shape in float32 on the CPU: (groups, rows, columns)."""
        rows = like.detach().to(device="cpu", dtype=torch.float32).movedim(self.axis, -1)
        if isinstance(self.layer, FORWARD):
            return rows.reshape(self.groups, rows.shape[0] // self.groups, -1)
        return rows.reshape(1, -1, rows.shape[-1])

    def write(self, values: torch.Tensor) -> None:
        """Set the weight from (groups, rows, columns)."""
        with torch.no_grad():
            self.weight.copy_(self.shaped(values))

    def shaped(self, values: torch.Tensor) -> torch.Tensor:
        """(groups, rows, columns) in the weight's own shape."""
        return values.reshape(self.weight.movedim(self.axis, -1).shape).movedim(-1, self.axis)

    def columns(self, given: torch.Tensor) -> torch.Tensor:
        """(groups, tokens, columns) of what the layer is fed."""
        if self.is_linear:
            return given.reshape(1, -1, given.shape[-1])
        layer = self.layer
        flat = given[:, :, None] if isinstance(layer, nn.Conv1d) else given
        kernel, stride, dilation = (
            (1, *each) if isinstance(layer, nn.Conv1d) else each
            for each in (layer.kernel_size, layer.stride, layer.dilation)
        )
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        padded = nn.functional.pad(flat, _margins(layer, kernel, dilation), mode=mode)
        cut = nn.functional.unfold(padded, kernel, dilation=dilation, stride=stride)
        taps = kernel[0] * kernel[1]
        channels = given.shape[1] // self.groups
        # unfold gives channels outside and taps inside.
        split = cut.reshape(cut.shape[0], self.groups, channels, taps, -1)
        return split.permute(1, 0, 4, 3, 2).reshape(self.groups, -1, taps * channels)


def matrices(module: nn.Module) -> Iterator[Matrix]:
    """All weights that `prunable` names, as matrices."""
    modules = dict(module.named_modules())
    for found in prunable(module):
        layer = modules.get(found.name)
        if layer is None and isinstance(module, (nn.Linear, *FORWARD, *TRANSPOSED)):
            layer = module
        yield Matrix(
            name=found.name,
            weight=found.weight,
            axis=found.axis,
            along=found.along,
            layer=layer,
            obstacle=found.obstacle,
        )


def _margins(layer: Any, kernel: tuple[int, int], dilation: tuple[int, int]) -> list[int]:
    """Zeros around a picture, last axis first."""
    if layer.padding == "valid":
        return [0, 0, 0, 0]
    if layer.padding == "same":
        spans = [step * (size - 1) for size, step in zip(kernel, dilation, strict=True)]
        return [part for span in reversed(spans) for part in (span // 2, span - span // 2)]
    padding = (0, *layer.padding) if isinstance(layer, nn.Conv1d) else layer.padding
    return [part for size in reversed(padding) for part in (size, size)]
