"""N:M pruning of a module while it trains: masks anew from the dense weights before each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from accelsim.prune.nm_layers import choose, groups_of, weight_of
from accelsim.prune.nm_masks import backward_mask, forward_mask, transposable_mask
from accelsim.prune.recipes import NmTraining
from accelsim.training.products import Convolution, Linear


@dataclass
class Pruned:
    """One layer and its masks, shaped as its weight; None: that product reads dense weights.

    `gradient`: which output gradients the last backward product read (SDGP), channels last.
    """

    name: str
    layer: Any
    forward: torch.Tensor | None = None
    backward: torch.Tensor | None = None
    gradient: torch.Tensor | None = None


class Masking:
    """A context in which the chosen layers of `module` train under `recipe`; afterwards they are as before.

    `remake()` before each forward pass takes both masks from the dense weights; `add_decay()` between
    backward pass and update adds SR-STE's term to the gradients.
    """

    def __init__(self, module: nn.Module, recipe: NmTraining) -> None:
        chosen = choose(module, recipe)
        self.recipe = recipe
        self.left_dense = chosen.left_dense
        self.layers = [Pruned(name=name, layer=layer) for name, layer in chosen.layers.items()]
        self.remake()

    def __enter__(self) -> Masking:
        for pruned in self.layers:
            run = self._linear if isinstance(pruned.layer, nn.Linear) else self._convolution
            pruned.layer.forward = _Bound(run, pruned)
        return self

    def __exit__(self, *error: object) -> None:
        for pruned in self.layers:
            del pruned.layer.forward

    @torch.no_grad()
    def remake(self) -> None:
        """Both masks of every layer, from its dense weight as it is now."""
        n, m, method = self.recipe.n, self.recipe.m, self.recipe.method
        for pruned in self.layers:
            weight, groups = weight_of(pruned.layer), groups_of(pruned.layer)
            if method == "bdwp":
                pruned.forward = forward_mask(weight, n, m)
                pruned.backward = backward_mask(weight, n, m, groups)
            elif method == "srste":
                # One pruned weight in both products; its groups lie along the sums of the forward one alone.
                pruned.forward = pruned.backward = forward_mask(weight, n, m)
            elif method == "transposable":
                pruned.forward = pruned.backward = transposable_mask(weight, n, m, groups)

    @torch.no_grad()
    def add_decay(self) -> None:
        """Add decay x weight to the gradients of the weights that are pruned forward."""
        if not self.recipe.decay:
            return
        for pruned in self.layers:
            weight = weight_of(pruned.layer)
            if weight.grad is not None and pruned.forward is not None:
                weight.grad.add_(weight.masked_fill(pruned.forward, 0), alpha=self.recipe.decay)

    def _operands(self, pruned: Pruned) -> tuple[Any, ...]:
        """Bias, forward weight, backward weight, and what is done to output gradients."""
        weight = weight_of(pruned.layer).detach()
        forward = weight if pruned.forward is None else weight * pruned.forward
        same = pruned.backward is pruned.forward
        backward = forward if same or pruned.backward is None else weight * pruned.backward
        sdgp = self.recipe.method == "sdgp"
        pattern = (self.recipe.n, self.recipe.m) if sdgp else None
        return pruned.layer.bias, forward, backward, pattern, _Seen(pruned) if sdgp else None

    def _linear(self, pruned: Pruned, given: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = Linear.apply(given, pruned.layer.weight, *self._operands(pruned))  # type: ignore[no-untyped-call]
        return result

    def _convolution(self, pruned: Pruned, given: torch.Tensor) -> torch.Tensor:
        layer = pruned.layer
        is_single = given.dim() == len(layer.stride) + 1
        given, padding = _padded(layer, given[None] if is_single else given)
        form = (list(layer.stride), padding, list(layer.dilation), layer.groups)
        result: torch.Tensor = Convolution.apply(given, layer.weight, *self._operands(pruned), form)  # type: ignore[no-untyped-call]
        return result[0] if is_single else result


@dataclass
class _Bound:
    """A layer's forward pass. (A closure would do, but could not be copied with the module.)"""

    run: Any
    pruned: Pruned

    def __call__(self, given: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.run(self.pruned, given)
        return result


@dataclass
class _Seen:
    """Keeps the last mask of output gradients."""

    pruned: Pruned

    def __call__(self, mask: torch.Tensor) -> None:
        self.pruned.gradient = mask


def _padded(layer: Any, given: torch.Tensor) -> tuple[torch.Tensor, list[int]]:
    """The input and the padding left to the convolution: words become numbers, other modes are done."""
    both_sides = list(layer._reversed_padding_repeated_twice)
    even = all(low == high for low, high in zip(both_sides[::2], both_sides[1::2], strict=True))
    if layer.padding_mode == "zeros" and even:
        return given, both_sides[::-2]
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    return nn.functional.pad(given, both_sides, mode=mode), [0] * (len(both_sides) // 2)
