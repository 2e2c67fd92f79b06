"""Adam on plain tensors, in place, without a graph (Kingma and Ba, ICLR 2015)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

FIRST, SECOND, TINY = 0.9, 0.999, 1e-8


class Adam:
    """Moments of some tensors, which `step` moves against their gradients."""

    def __init__(self, tensors: Sequence[torch.Tensor], rate: float) -> None:
        self._tensors, self._rate, self._steps = list(tensors), rate, 0
        self._first = [torch.zeros_like(tensor) for tensor in tensors]
        self._second = [torch.zeros_like(tensor) for tensor in tensors]

    def step(self, gradients: Sequence[torch.Tensor]) -> None:
        """One step of `rate`."""
        self._steps += 1
        first, second = 1 - FIRST**self._steps, 1 - SECOND**self._steps
        each = zip(self._tensors, gradients, self._first, self._second, strict=True)
        for tensor, gradient, mean, square in each:
            mean.lerp_(gradient, 1 - FIRST)
            square.mul_(SECOND).addcmul_(gradient, gradient, value=1 - SECOND)
            tensor.addcdiv_(mean, (square / second).sqrt_().add_(TINY), value=-self._rate / first)
