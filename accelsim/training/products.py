"""Linear layers and convolutions whose forward and backward products read different weights.

Both are straight-through: the gradient of the dense weight is X^T dY, as if nothing had been pruned.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from accelsim.prune.nm_masks import keep_largest

Tensors = tuple[torch.Tensor | None, ...]


class Linear(torch.autograd.Function):
    """Y = X forward^T + bias; dX = dY backward; dW = dY^T X.

    `pattern` (N, M) or None: of dY, pruned along its features in the product for dX alone. `seen`: told
    which elements of dY that product keeps.
    """

    @staticmethod
    def forward(
        context: Any,
        given: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        forward: torch.Tensor,
        backward: torch.Tensor,
        pattern: tuple[int, int] | None,
        seen: Any,
    ) -> torch.Tensor:
        """`weight`, the dense one, is here for its gradient alone."""
        context.save_for_backward(given, backward)
        context.pattern, context.seen, context.has_bias = pattern, seen, bias is not None
        return nn.functional.linear(given, forward, bias)

    @staticmethod
    def backward(context: Any, *gradients: Any) -> Tensors:
        """Gradients of the input, the dense weight and the bias."""
        (gradient,) = gradients
        given, backward = context.saved_tensors
        rows = gradient.reshape(-1, gradient.shape[-1])
        kept = _kept(gradient, context.pattern, context.seen)
        to_input = kept @ backward if context.needs_input_grad[0] else None
        to_weight = rows.t() @ given.reshape(-1, given.shape[-1])
        return to_input, to_weight, rows.sum(0) if context.has_bias else None, None, None, None, None


class Convolution(torch.autograd.Function):
    """The same for a convolution, already padded if its padding is not of zeros."""

    @staticmethod
    def forward(
        context: Any,
        given: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        forward: torch.Tensor,
        backward: torch.Tensor,
        pattern: tuple[int, int] | None,
        seen: Any,
        form: tuple[list[int], list[int], list[int], int],
    ) -> torch.Tensor:
        """`form`: stride, padding, dilation, groups."""
        context.save_for_backward(given, backward)
        context.pattern, context.seen, context.form = pattern, seen, form
        context.has_bias = bias is not None
        stride, padding, dilation, groups = form
        none = [0] * len(stride)
        result: torch.Tensor = torch.ops.aten.convolution(
            given, forward, bias, stride, padding, dilation, False, none, groups
        )
        return result

    @staticmethod
    def backward(context: Any, *gradients: Any) -> Tensors:
        """Gradients of the input, the dense weight and the bias; that of the weight does not look at it."""
        (gradient,) = gradients
        given, backward = context.saved_tensors
        stride, padding, dilation, groups = context.form
        none = [0] * len(stride)
        sizes = [backward.shape[0]] if context.has_bias else None

        def product(outputs: torch.Tensor, *wanted: bool) -> Tensors:
            form = (stride, padding, dilation, False, none, groups)
            found: Tensors = torch.ops.aten.convolution_backward(
                outputs, given, backward, sizes, *form, list(wanted)
            )
            return found

        needs_input = bool(context.needs_input_grad[0])
        if context.pattern is None or not needs_input:
            to_input, to_weight, to_bias = product(gradient, needs_input, True, context.has_bias)
        else:
            _, to_weight, to_bias = product(gradient, False, True, context.has_bias)
            kept = _kept(gradient.movedim(1, -1), context.pattern, context.seen, groups).movedim(-1, 1)
            to_input = product(kept, True, False, False)[0]
        return to_input, to_weight, to_bias, None, None, None, None, None


def _kept(
    gradient: torch.Tensor, pattern: tuple[int, int] | None, seen: Any, groups: int = 1
) -> torch.Tensor:
    """The output gradient, channels last, as the backward product reads it: pruned inside each group."""
    if pattern is None:
        return gradient
    channels = gradient.shape[-1]
    mask = keep_largest(gradient.reshape(*gradient.shape[:-1], groups, channels // groups), *pattern)
    mask = mask.reshape(gradient.shape)
    if seen is not None:
        seen(mask)
    return gradient * mask
