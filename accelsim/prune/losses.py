"""A loss that every network has, so that gradients mean something without labels.

Language models: -log p of the next token of the text. Logits of classes: of a class drawn from what the model
itself predicts. Hidden states: their product with drawn noise. The mean square gradient of the latter two is
the diagonal of the Fisher matrix of a softmax, and of a Gaussian, around the model's own output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from accelsim.prune.blocks import call, without_cache
from accelsim.prune.matrices import Matrix

Loss = Callable[[Any, int], torch.Tensor]
"""Of a sample and its number, which the draw depends on."""


def loss_of(module: nn.Module) -> Loss:
    """The loss of one forward pass. A sample's classes are drawn once, by the weights of its first pass."""
    classes: dict[int, torch.Tensor] = {}

    def loss(sample: Any, number: int) -> torch.Tensor:
        output = main_output(call(module, sample))
        generator = torch.Generator().manual_seed(number)
        ids = sample.get("input_ids") if isinstance(sample, dict) else None
        if output.dim() == 3 and ids is not None and output.shape[:2] == ids.shape and _is_language(module):
            return nn.functional.cross_entropy(output[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten())
        if output.dim() == 2:
            if number not in classes:
                chances = output.detach().float().softmax(dim=1)
                classes[number] = torch.multinomial(chances, 1, generator=generator)[:, 0]
            return nn.functional.cross_entropy(output.float(), classes[number])
        noise = torch.randn(output.shape, generator=generator)
        projected: torch.Tensor = (output.float() * noise).sum() / output.numel() ** 0.5
        return projected

    return loss


def main_output(output: Any) -> torch.Tensor:
    """Logits, else hidden states, else the first tensor."""
    for name in ("logits", "last_hidden_state"):
        found = getattr(output, name, None)
        if isinstance(found, torch.Tensor):
            return found
    first = next(iter(output.values())) if isinstance(output, Mapping) else output
    first = first[0] if isinstance(first, (tuple, list)) else first
    if not isinstance(first, torch.Tensor):
        raise ValueError(f"calibration needs a module that gives a tensor, not {type(first).__name__}")
    return first


def sample_gradients(
    module: nn.Module,
    matrices: Sequence[Matrix],
    samples: Sequence[Any],
    told: Callable[[str, int, int], None],
) -> Iterator[list[torch.Tensor]]:
    """Sample by sample the gradient of each layer's weight, in its own shape; 0 where it is not used.

    Weights may be moved between two samples: each gradient is of the weights of then.
    """
    loss = loss_of(module)
    required = [matrix.weight.requires_grad for matrix in matrices]
    try:
        for matrix in matrices:
            matrix.weight.requires_grad_(True)
        for index, sample in enumerate(samples):
            told("gradients", index, len(samples))
            # Not around the yield: the mode of gradients is one for all who run.
            with torch.enable_grad(), without_cache(module):
                found = torch.autograd.grad(
                    loss(sample, index), [matrix.weight for matrix in matrices], allow_unused=True
                )
            yield [
                torch.zeros_like(matrix.weight) if gradient is None else gradient
                for matrix, gradient in zip(matrices, found, strict=True)
            ]
    finally:
        for matrix, before in zip(matrices, required, strict=True):
            matrix.weight.requires_grad_(before)


def _is_language(module: nn.Module) -> bool:
    """Whether the module predicts tokens."""
    return bool(getattr(module, "can_generate", lambda: False)())
