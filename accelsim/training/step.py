"""A training step of a module as a workload: its real shapes, and real masks of both directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from accelsim.golden.formats import Bitmap
from accelsim.models.inputs import ran
from accelsim.prune.magnitude import prunable
from accelsim.prune.nm_layers import groups_of
from accelsim.prune.recipes import NmTraining, Recipe, first_word, parse_all
from accelsim.stages import Directions, Optimiser, Step, training_step
from accelsim.trace.tracing import record, still
from accelsim.training.masking import Masking, Pruned
from accelsim.workload import Layer, Matmul, Workload

Loss = Callable[[nn.Module, Any], torch.Tensor]


def recipe_of(prune: str | Recipe | Sequence[str | Recipe] | None) -> NmTraining | None:
    """The one recipe of N:M training among `prune`, or None. ValueError for another recipe."""
    for recipe in (recipes := parse_all(prune)):
        if not isinstance(recipe, NmTraining):
            raise ValueError(
                f"a training step takes bdwp, srste, sdgp or transposable, not {first_word(recipe)}"
            )
    first = recipes[0] if recipes else None
    assert first is None or isinstance(first, NmTraining)
    return first


def trace_step(
    module: nn.Module,
    inputs: Any,
    prune: str | Recipe | Sequence[str | Recipe] | None = None,
    *,
    name: str | None = None,
    notes: Sequence[str] = (),
    optimiser: Optimiser | None = None,
    loss: Loss | None = None,
) -> Workload:
    """The workload of one training step of `module` on `inputs`, with its weights as they are.

    Masks are made from the weights by the recipe (None: dense). `optimiser`: SGD with momentum unless said.
    `loss(module, inputs)` gives the gradients that sdgp prunes; without one they are drawn, and a note says
    so. The module is as before afterwards. ValueError for a recipe that fits no layer.
    """
    recipe = recipe_of(prune)
    said: list[str] = []
    masking = Masking(module, recipe) if recipe else None
    with still(module):
        # Training has zeros as weights, and so the heads that have no others.
        layers = record(module, inputs, every_head=True)
    with _trainable(module), torch.enable_grad():
        entered = _inputs_without_gradient(module, inputs, masking, loss)
    directions: dict[str, Directions] = {}
    if masking is not None:
        by_name = {pruned.name: pruned for pruned in masking.layers}
        layers = tuple(_masked(layer, by_name.get(_base(layer))) for layer in layers)
        shapes = {_base(layer): layer for layer in layers if isinstance(layer, Matmul)}
        directions = {
            name: _directions(pruned, masking.recipe, shapes[name])
            for name, pruned in by_name.items()
            if name in shapes
        }
        if masking.left_dense:
            dense = ", ".join(f"{name} ({reason})" for name, reason in masking.left_dense.items())
            said.append(f"left dense: {dense}")
        if recipe is not None and recipe.method == "sdgp" and loss is None:
            said.append("output gradients are drawn: there is no loss")
    else:
        layers = tuple(_masked(layer, None) for layer in layers)
    weights = {_base(layer) for layer in layers if isinstance(layer, Matmul) and layer.weights}
    optimiser = optimiser or Optimiser(decay=bool(recipe and recipe.decay))
    step = Step(
        directions=directions,
        without_input_gradient=entered,
        optimiser=optimiser,
        other_parameters=_others(module, weights),
        shared=_shared(module, weights, directions),
    )
    return Workload(
        model=name or type(module).__name__,
        layers=training_step(layers, step),
        notes=(*notes, f"one training step{_said(optimiser)}", *said),
    )


def _said(optimiser: Optimiser) -> str:
    """How the optimiser is told in a note."""
    state = {0: "SGD", 1: "SGD with momentum", 2: "two words of state a weight"}
    words = [state.get(optimiser.state, f"{optimiser.state} words of state a weight"), "FP32 masters"]
    if optimiser.loss_scale > 1:
        words.append(f"loss scale {optimiser.loss_scale}")
    if optimiser.skipped:
        words.append("skipped: a gradient had Inf or NaN")
    return f": {', '.join(words)}"


def _base(layer: Layer) -> str:
    """The name of a layer's weight; a layer that ran again has a number behind it."""
    return layer.name.partition("#")[0]


def _masked(layer: Layer, pruned: Pruned | None) -> Layer:
    """The layer with the forward mask; without one its weights train densely, zeros among them."""
    if not isinstance(layer, Matmul):
        return layer
    if pruned is None or pruned.forward is None:
        return replace(layer, mask=None)
    return replace(layer, mask=_laid_out(pruned.forward, pruned.layer, layer))


def _laid_out(mask: torch.Tensor, layer: nn.Module, product: Matmul) -> Bitmap:
    """A mask shaped as its weight, (out, in, taps), as the product has it: (n, k) with channels innermost."""
    rows = mask.movedim(1, -1).reshape(groups_of(layer), product.n, product.k)
    return Bitmap.pack((rows if product.count > 1 else rows[0]).cpu().numpy())


def _directions(pruned: Pruned, recipe: NmTraining, product: Matmul) -> Directions:
    """What a layer's products and copies are, from its masks."""
    pattern = f"{recipe.n}:{recipe.m}"
    if recipe.method == "sdgp":
        if pruned.gradient is None:
            return Directions()
        return Directions(backward=pattern, gradient_mask=_gradient(pruned.gradient, product))
    if not recipe.skips_backward or pruned.backward is None:
        return Directions(forward=pattern)
    mask = _laid_out(pruned.backward, pruned.layer, product)
    return Directions(forward=pattern, backward=pattern, backward_mask=mask)


def _gradient(mask: torch.Tensor, product: Matmul) -> Bitmap:
    """A mask of output gradients, channels last, as (m, n) or (count, m, n)."""
    rows = mask.reshape(-1, product.count, product.n).movedim(1, 0).contiguous()
    return Bitmap.pack((rows if product.count > 1 else rows[0]).cpu().numpy().astype(np.bool_))


def _inputs_without_gradient(
    module: nn.Module, inputs: Any, masking: Masking | None, loss: Loss | None
) -> frozenset[str]:
    """Layers whose input no trained parameter has touched; on the way, gradients where they are pruned."""
    entered: set[str] = set()

    def watch(name: str) -> Any:
        def hook(_layer: nn.Module, given: tuple[Any, ...]) -> None:
            if not any(isinstance(each, torch.Tensor) and each.requires_grad for each in given):
                entered.add(name)

        return hook

    modules = dict(module.named_modules())
    names = [layer.name for layer in prunable(module)]
    hooks = [modules[name].register_forward_pre_hook(watch(name)) for name in names if name in modules]
    try:
        if masking is not None and masking.recipe.method == "sdgp":
            with masking:
                (loss or _drawn_loss)(module, inputs).backward()  # type: ignore[no-untyped-call]
        else:
            ran(module, inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return frozenset(entered)


def _drawn_loss(module: nn.Module, inputs: Any) -> torch.Tensor:
    """A loss whose gradient at the first output is normal numbers, drawn from seed 0."""
    outputs = [leaf for leaf in tree_leaves(ran(module, inputs)) if isinstance(leaf, torch.Tensor)]
    output = next(each for each in outputs if each.requires_grad)
    drawn = torch.randn(output.shape, generator=torch.Generator().manual_seed(0))
    return (output * drawn.to(output)).sum()


@contextmanager
def _trainable(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, every parameter with a gradient of its own; then as before."""
    before = [(parameter, parameter.requires_grad, parameter.grad) for parameter in module.parameters()]
    training = [child for child in module.modules() if getattr(child, "training", False)]
    module.eval()
    for parameter, _, _ in before:
        parameter.requires_grad_(parameter.is_floating_point())
        parameter.grad = None
    try:
        yield
    finally:
        for parameter, needed, gradient in before:
            parameter.requires_grad_(needed)
            parameter.grad = gradient
        for child in training:
            child.training = True


def _shared(module: nn.Module, weights: set[str], directions: Mapping[str, Directions]) -> dict[str, str]:
    """Layers with the weight of another, by name: of one that is pruned, else of the module's first."""
    named = dict(module.named_parameters(remove_duplicate=False))
    first: dict[int, str] = {}
    shared = {}
    owners = [name.removesuffix(".weight") for name in named]
    for name in sorted((each for each in owners if each in weights), key=lambda each: each not in directions):
        parameter = named.get(f"{name}.weight", named.get(name))
        if (owner := first.setdefault(id(parameter), name)) != name:
            shared[name] = owner
    return shared


def _others(module: nn.Module, weights: set[str]) -> int:
    """Parameters that belong to no product, under none of the names that a shared one has."""
    owned = {f"{name}.weight" for name in weights} | weights | {"weight"}
    named = list(module.named_parameters(remove_duplicate=False))
    multiplied = {id(parameter) for name, parameter in named if name in owned}
    others = {id(each): each for _, each in named if each.is_floating_point() and id(each) not in multiplied}
    return sum(parameter.numel() for parameter in others.values())
