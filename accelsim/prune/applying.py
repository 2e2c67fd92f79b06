"""Recipes on a module for the length of a `with`: zeros in the weights, the cascade in the forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from accelsim.prune.biases import add_bias
from accelsim.prune.composed import Composed
from accelsim.prune.depth import Depth, Shallow
from accelsim.prune.factored import Factored
from accelsim.prune.fitted import Fitted
from accelsim.prune.fitting import fit
from accelsim.prune.magnitude import prunable, prune_weights
from accelsim.prune.matrices import matrices
from accelsim.prune.nm_layers import prune_forward
from accelsim.prune.precrop import Precrop
from accelsim.prune.recipes import Magnitude, NmTraining, Recipe, Spatten, parse_all
from accelsim.prune.skipping import shallow, without
from accelsim.prune.useless_rows import clear_useless_rows


@dataclass(kw_only=True)
class Applied:
    """What recipes did to the weights: layers left dense, or cut but not refined, with the reason.

    `gone`: blocks that left.
    """

    left_dense: dict[str, str] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    unrefined: dict[str, str] = field(default_factory=dict)


@contextmanager
def pruned(
    module: nn.Module,
    recipes: str | Recipe | Sequence[str | Recipe],
    *,
    decided: Callable[[Callable[[], Any]], Any] | None = None,
    heads_per_sample: bool = False,
    end: int = 0,
    samples: Sequence[Any] = (),
) -> Iterator[Applied]:
    """Inside the `with`, `module` is pruned; afterwards its weights and its forward pass are as before.

    `decided` receives each pruned attention as a function that computes it and describes its decisions
    (see `Recorder.decided`); `heads_per_sample`: every sequence of a batch prunes heads by its own scores.
    `end`: tokens at the end of a generation, 0 where it is not known. `samples`: inputs that calibrate a
    recipe which is not `fitted` yet. ValueError if a recipe does not fit the module.
    """
    applied = Applied()
    with ExitStack() as undo:
        for recipe in _blocks_first(recipes):
            recipe = _found(module, recipe, samples, None)
            if isinstance(recipe, Fitted):
                undo.enter_context(fitted_weights(module, recipe))
                applied.left_dense.update(recipe.left_dense)
                applied.unrefined.update(recipe.unrefined)
            elif isinstance(recipe, Shallow):
                undo.enter_context(without(module, recipe.gone))
                applied.gone = tuple(block.name for block in recipe.gone)
            elif isinstance(recipe, Precrop):
                raise ValueError(
                    f"{recipe} makes a network that is trained: accelsim train resnet9 --prune {recipe}"
                )
            elif isinstance(recipe, Magnitude):
                undo.enter_context(_weights_restored(module))
                applied.left_dense.update(prune_weights(module, recipe).left_dense)
            elif isinstance(recipe, NmTraining):
                undo.enter_context(_weights_restored(module))
                applied.left_dense.update(prune_forward(module, recipe).left_dense)
            elif isinstance(recipe, Spatten) and not recipe.decides_nothing:
                from accelsim.prune.cascade import cascade

                undo.enter_context(
                    cascade(module, recipe, decided=decided, heads_per_sample=heads_per_sample, end=end)
                )
        yield applied


def fitted(
    module: nn.Module,
    recipes: str | Recipe | Sequence[str | Recipe] | None,
    samples: Sequence[Any],
    told: Callable[[str, int, int], None] | None = None,
) -> tuple[Recipe, ...]:
    """The recipes, those that need calibration with what they leave: found once, used often.

    Weights are fitted in the network that whole blocks have left already.
    """
    found: list[Recipe] = []
    with ExitStack() as undo:
        for recipe in _blocks_first(recipes):
            found.append(made := _found(module, recipe, samples, told))
            if isinstance(made, Shallow):
                undo.enter_context(without(module, made.gone))
    return tuple(found)


def _blocks_first(recipes: str | Recipe | Sequence[str | Recipe] | None) -> list[Recipe]:
    """In the order given, but what takes whole blocks goes before what needs the layers that are left."""
    return sorted(parse_all(recipes), key=lambda recipe: not isinstance(recipe, Depth | Shallow))


def _found(
    module: nn.Module,
    recipe: Recipe,
    samples: Sequence[Any],
    told: Callable[[str, int, int], None] | None,
) -> Recipe:
    """The recipe with what it decides for this module, if it decides anything before a forward pass."""
    if isinstance(recipe, Composed):
        made = fit(module, recipe, samples, told)
        clear_useless_rows(module, made)
        return made
    return shallow(module, recipe, samples) if isinstance(recipe, Depth) else recipe


@contextmanager
def fitted_weights(module: nn.Module, found: Fitted) -> Iterator[None]:
    """Inside the `with`, the layers have the weights, biases and factors that were fitted."""
    layers = {matrix.name: matrix for matrix in matrices(module)}
    for name in found.weights.keys() - layers.keys():
        raise ValueError(f"{found} was fitted to another module, which has a layer {name!r}")
    with ExitStack() as undo, torch.no_grad():
        for name, weight in found.weights.items():
            matrix = layers[name]
            if name in found.bias:
                undo.callback(add_bias(matrix.layer, found.bias[name]))
            if name in found.factors:
                # In the layer's precision and on its device, as `copy_` brings the other weights.
                parts = (found.factors[name][0], weight, found.factors[name][1])
                behind, core, before = (part.to(matrix.weight) for part in parts)
                undo.callback(_replaced(module, name, Factored(behind, core, before, matrix.layer.bias)))
            else:
                undo.callback(_copied(matrix.weight, matrix.weight.detach().clone()))
                matrix.weight.copy_(weight)
        yield


def _replaced(module: nn.Module, name: str, new: nn.Module) -> Callable[[], None]:
    """Put another layer in a layer's place."""
    parent_name, _, own = name.rpartition(".")
    parent = module.get_submodule(parent_name)
    before = getattr(parent, own)
    setattr(parent, own, new)
    return lambda: setattr(parent, own, before)


def _copied(weight: torch.Tensor, copy: torch.Tensor) -> Callable[[], None]:
    def undo() -> None:
        with torch.no_grad():
            weight.copy_(copy)

    return undo


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
