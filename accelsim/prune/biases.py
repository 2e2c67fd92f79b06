"""What a layer's bias gains for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def add_bias(layer: Any, gain: torch.Tensor) -> Callable[[], None]:
    """Add to a layer's bias, or give it one; the function that comes back undoes it."""
    before = layer.bias
    added = gain.to(layer.weight.dtype) if before is None else before.detach() + gain.to(before.dtype)
    layer.bias = nn.Parameter(added, requires_grad=False)

    def undo() -> None:
        layer.bias = before

    return undo
