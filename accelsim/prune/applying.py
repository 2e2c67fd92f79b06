"""Recipes on a module for the length of a `with`: zeros in the weights, the cascade in the forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from accelsim.prune.magnitude import prunable, prune_weights
from accelsim.prune.nm_layers import prune_forward
from accelsim.prune.recipes import Magnitude, NmTraining, Recipe, parse_all


@dataclass(kw_only=True)
class Applied:
    """What recipes did to the weights: layers left dense, with the reason."""

    left_dense: dict[str, str] = field(default_factory=dict)


@contextmanager
def pruned(
    module: nn.Module,
    recipes: str | Recipe | Sequence[str | Recipe],
    *,
    decided: Callable[[Callable[[], Any]], Any] | None = None,
    heads_per_sample: bool = False,
    end: int = 0,
) -> Iterator[Applied]:
    """Inside the `with`, `module` is pruned; afterwards its weights and its forward pass are as before.

    `decided` receives each pruned attention as a function that computes it and describes its decisions
    (see `Recorder.decided`); `heads_per_sample`: every sequence of a batch prunes heads by its own scores.
    `end`: tokens at the end of a generation, 0 where it is not known. ValueError if a recipe does not fit
    the module.
    """
    applied = Applied()
    with ExitStack() as undo:
        for recipe in parse_all(recipes):
            if isinstance(recipe, Magnitude):
                undo.enter_context(_weights_restored(module))
                applied.left_dense.update(prune_weights(module, recipe).left_dense)
            elif isinstance(recipe, NmTraining):
                undo.enter_context(_weights_restored(module))
                applied.left_dense.update(prune_forward(module, recipe).left_dense)
            elif not recipe.decides_nothing:
                from accelsim.prune.cascade import cascade

                undo.enter_context(
                    cascade(module, recipe, decided=decided, heads_per_sample=heads_per_sample, end=end)
                )
        yield applied


@contextmanager
def _weights_restored(module: nn.Module) -> Iterator[None]:
    before = [
        (layer.weight, layer.weight.detach().clone()) for layer in prunable(module) if not layer.obstacle
    ]
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, copy in before:
                weight.copy_(copy)
