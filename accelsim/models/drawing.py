"""Recipes on layers of which only the shapes are known: masks and decisions are drawn, counts are exact.

Layers of equal shape share one mask, and attentions of equal shape in a pass over many tokens their scores,
so that a network of billions of weights takes megabytes. The cascade is in `models.drawn_cascade`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from accelsim.golden.attention import keep_count
from accelsim.golden.formats import Bitmap
from accelsim.models.drawn_cascade import cascaded
from accelsim.models.shapes import Part
from accelsim.prune.composed import Composed
from accelsim.prune.depth import Depth, Shallow
from accelsim.prune.fitted import Fitted
from accelsim.prune.precrop import Precrop
from accelsim.prune.recipes import Magnitude, NmTraining, Recipe
from accelsim.synthetic import draw_mask
from accelsim.workload import Layer, Matmul


def drawn(
    passes: Sequence[Sequence[Part]], recipes: Sequence[Recipe], generator: np.random.Generator
) -> tuple[tuple[tuple[Layer, ...], ...], tuple[str, ...]]:
    """The layers of each pass after the recipes, and what reports must say.

    One pass, or one over a prompt and one for each token that follows. ValueError for a recipe that fits
    nothing.
    """
    notes: list[str] = []
    parts = [list(each) for each in passes]
    for recipe in recipes:
        if isinstance(recipe, (Composed, Fitted, Depth, Shallow, Precrop)):
            raise ValueError(f"{recipe} needs weights, and only shapes are known: try magnitude")
        if isinstance(recipe, Magnitude):
            flat, said = _masked([part for each in parts for part in each], recipe, generator)
            parts = _regrouped(flat, [len(each) for each in parts])
        elif isinstance(recipe, NmTraining):
            flat, said = _forward_masked([part for each in parts for part in each], recipe, generator)
            parts = _regrouped(flat, [len(each) for each in parts])
        else:
            parts, said = cascaded(parts, recipe, generator)
        notes += said
    return tuple(tuple(part.layer for part in each) for each in parts), tuple(notes)


def _regrouped(flat: list[Part], sizes: list[int]) -> list[list[Part]]:
    rest = iter(flat)
    return [list(islice(rest, size)) for size in sizes]


def _masked(
    parts: list[Part], recipe: Magnitude, generator: np.random.Generator
) -> tuple[list[Part], list[str]]:
    """Every weight that the recipe fits gets the mask of its shape."""
    masks: dict[tuple[int, int], Bitmap] = {}
    made, dense = [], []
    for part in parts:
        layer = part.layer
        if isinstance(layer, Matmul):
            obstacle = part.obstacle
            if not obstacle and recipe.m and layer.group_span % recipe.m:
                words = f"no multiple of {recipe.m} for {recipe.n}:{recipe.m}"
                obstacle = f"{layer.group_span} weights along the reduction are {words}"
            if obstacle:
                dense.append(f"{layer.name} ({obstacle})")
            else:
                shape = layer.n, layer.k
                if shape not in masks:
                    # A fraction is kept in each row alike.
                    pattern = (
                        (recipe.n, recipe.m) if recipe.m else (keep_count(layer.k, recipe.keep), layer.k)
                    )
                    masks[shape] = draw_mask(*shape, pattern, generator)
                part = replace(part, layer=replace(layer, mask=masks[shape]))
        made.append(part)
    if not masks:
        raise ValueError(f"magnitude must fit at least one layer ({'; '.join(dense) or 'none here'})")
    notes = [f"left dense: {', '.join(dense)}"] if dense else []
    return made, ["masks are drawn, and layers of equal shape share one", *notes]


def _forward_masked(
    parts: list[Part], recipe: NmTraining, generator: np.random.Generator
) -> tuple[list[Part], list[str]]:
    """The forward weights that N:M training leaves, as inference reads them."""
    if not recipe.prunes_forward:
        raise ValueError(f"{recipe.words} prunes gradients alone: it belongs to a training step (--train)")
    chosen, dense = trained_parts(parts, recipe)
    masks: dict[tuple[int, int], Bitmap] = {}
    made = []
    for part in parts:
        layer = part.layer
        if isinstance(layer, Matmul) and layer.name in chosen:
            shape, span = (layer.n, layer.k), layer.group_span
            if shape not in masks:
                masks[shape] = draw_span_mask(shape, span, (recipe.n, recipe.m), generator)
            stated = {**layer.geometry, "pattern": f"{recipe.n}:{recipe.m}"}
            part = replace(part, layer=replace(layer, mask=masks[shape], geometry=stated))
        made.append(part)
    return made, ["masks are drawn, and layers of equal shape share one", f"left dense: {', '.join(dense)}"]


def trained_parts(parts: Sequence[Part], recipe: NmTraining) -> tuple[set[str], list[str]]:
    """Names of the layers that N:M training prunes, and the others with the reason. ValueError for none."""
    weighted = [part for part in parts if isinstance(part.layer, Matmul) and part.layer.weights]
    chosen: set[str] = set()
    dense = []
    for index, part in enumerate(weighted):
        obstacle = part.obstacle
        if index == 0 and not recipe.first:
            obstacle = "the first layer"
        elif index == len(weighted) - 1 and not recipe.last:
            obstacle = "the last layer"
        if obstacle:
            dense.append(f"{part.layer.name} ({obstacle})")
        else:
            chosen.add(part.layer.name)
    if not chosen:
        raise ValueError(f"{recipe.words} must fit at least one layer ({'; '.join(dense) or 'none here'})")
    return chosen, dense


def draw_span_mask(
    shape: tuple[int, int], span: int, pattern: tuple[int, int], generator: np.random.Generator
) -> Bitmap:
    """A mask of (n, k) whose groups lie inside every `span` elements of k, the last of them ragged."""
    rows = shape[0] * shape[1] // span
    return Bitmap(shape, draw_mask(rows, span, pattern, generator).bits)
