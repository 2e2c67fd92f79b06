"""Recipes that a network trains under, and what those of structure make of it before its first step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from accelsim.models.resnet9 import ResNet9
from accelsim.prune import Composed, Depth, NmTraining, Precrop
from accelsim.prune.recipes import Recipe, first_word, parse_all
from accelsim.prune.skipping import shallow
from accelsim.training.cropping import cropped

Trained = NmTraining | Composed | Depth | Precrop


def trained_recipe(prune: str | Recipe | Sequence[str | Recipe] | None) -> Trained | None:
    """The one recipe among `prune`, or None. ValueError for one that does not train, or for several."""
    recipes = parse_all(prune)
    for recipe in recipes:
        if not isinstance(recipe, Trained) or (isinstance(recipe, Composed) and not recipe.schedule):
            raise ValueError(
                "a training takes bdwp, srste, sdgp, transposable, depth, precrop, or a schedule such as "
                f"magnitude,global,0.1,iterative, not {first_word(recipe)}"
            )
    if len(recipes) > 1:
        raise ValueError(f"a training takes one recipe, not {' and '.join(map(first_word, recipes))}")
    first = recipes[0] if recipes else None
    assert first is None or isinstance(first, Trained)
    return first


def form_of(
    module: nn.Module, name: str, recipe: Trained | None, pictures: Callable[[], torch.Tensor]
) -> dict[str, Any]:
    """How the network differs from what its name says, for `accelsim.models.trained.made`.

    `module`: with its weights as they are drawn; `pictures`: of the first step. ValueError for a recipe that
    the network does not take.
    """
    if isinstance(recipe, Depth):
        return {"without": [block.name for block in shallow(module, recipe, [pictures()]).gone]}
    if isinstance(recipe, Precrop):
        if not isinstance(module, ResNet9):
            raise ValueError(f"{recipe} makes resnet9 narrower, not {name}")
        return {"widths": list(cropped(module, recipe))}
    return {}
