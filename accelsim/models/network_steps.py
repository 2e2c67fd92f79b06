"""A training step of a network of which only the shapes are known: masks of both directions are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from accelsim.golden.formats import Bitmap
from accelsim.models.drawing import draw_span_mask, trained_parts
from accelsim.models.shapes import Part
from accelsim.prune.recipes import NmTraining, Recipe, first_word
from accelsim.stages import Directions, Optimiser, Step, training_step
from accelsim.workload import Layer, Matmul

Shape = tuple[int, int]


def drawn_step(
    parts: Sequence[Part], recipes: Sequence[Recipe], generator: np.random.Generator
) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    """The step's layers under at most one recipe of N:M training, and what reports must say."""
    wrong = [recipe for recipe in recipes if not isinstance(recipe, NmTraining)]
    if wrong:
        raise ValueError(
            f"a training step takes bdwp, srste, sdgp or transposable, not {first_word(wrong[0])}"
        )
    layers: list[Layer] = [part.layer for part in parts]
    notes = [
        "one training step: SGD with momentum, FP32 masters; biases and norms are not counted",
    ]
    directions: dict[str, Directions] = {}
    for recipe in recipes:
        assert isinstance(recipe, NmTraining)
        chosen, dense = trained_parts(parts, recipe)
        masks = _Masks(recipe, generator)
        for index, layer in enumerate(layers):
            if isinstance(layer, Matmul) and layer.name in chosen:
                layers[index], directions[layer.name] = masks.of(layer)
        notes.append("masks are drawn, and layers of equal shape share one")
        notes += [f"left dense: {', '.join(dense)}"] if dense else []
    first = next((layer.name for layer in layers if isinstance(layer, Matmul) and layer.weights), "")
    decay = any(isinstance(recipe, NmTraining) and recipe.decay > 0 for recipe in recipes)
    step = Step(
        directions=directions,
        without_input_gradient={first},
        optimiser=Optimiser(decay=decay),
    )
    return training_step(layers, step), tuple(notes)


class _Masks:
    """Drawn masks, one for each shape."""

    def __init__(self, recipe: NmTraining, generator: np.random.Generator) -> None:
        self._recipe = recipe
        self._generator = generator
        self._known: dict[tuple[Shape, int], Bitmap] = {}

    def of(self, layer: Matmul) -> tuple[Matmul, Directions]:
        """The layer with its forward mask, and its directions."""
        recipe = self._recipe
        pattern = f"{recipe.n}:{recipe.m}"
        if recipe.prunes_forward:
            layer = replace(layer, mask=self._mask((layer.n, layer.k), layer.group_span))
        if recipe.method == "sdgp":
            gradient = self._mask((layer.m, layer.n), layer.n)
            return layer, Directions(backward=pattern, gradient_mask=gradient)
        if not recipe.skips_backward:
            return layer, Directions(forward=pattern)
        # Drawn as the backward product reads it, (k, n), and handed on as the forward one does.
        drawn = self._mask((layer.k, layer.n), layer.n).unpack()
        return layer, Directions(
            forward=pattern, backward=pattern, backward_mask=Bitmap.pack(np.ascontiguousarray(drawn.T))
        )

    def _mask(self, shape: Shape, span: int) -> Bitmap:
        if (shape, span) not in self._known:
            pattern = self._recipe.n, self._recipe.m
            self._known[shape, span] = draw_span_mask(shape, span, pattern, self._generator)
        return self._known[shape, span]
