"""Widths of ResNet-9 for fewer parameters, told at initialisation.

Source: PreCropping, 2022, arXiv 2203.02549: what decides is the density of each layer, which a narrower
layer has as well. Densities are those of SynFlow's mask (Tanaka et al., NeurIPS 2020, arXiv 2006.05467). An
output width shrinks with the root of its layer's density, since the width of its input shrinks as well; in a
pair with a way around only the inner width shrinks, with the density itself. All widths are then scaled alike
until the parameters are those that are asked for.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from math import sqrt

import torch
from torch import nn

from accelsim.models.resnet9 import ResNet9, Widths
from accelsim.prune.precrop import Precrop

ROUNDS = 100
"""Of SynFlow, as published."""

HALVINGS = 50
PICTURE = (1, 1, 28, 28)


def cropped(module: ResNet9, recipe: Precrop) -> Widths:
    """The widest widths, in the ratios that the recipe says, whose network has at most `keep` parameters."""
    sizes = {name: weight.numel() for name, weight in _weights(module).items()}
    if recipe.by == "synflow":
        densities = synflow(module, recipe.keep)
    elif recipe.by == "even":
        densities = even(sizes, recipe.keep)
    else:
        densities = dict.fromkeys(sizes, 1.0)
    whole = module.widths
    budget = recipe.keep * _parameters(whole)
    low, high = 0.0, 1 / min(densities.values())
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fits = _parameters(_scaled(whole, densities, sizes, middle)) <= budget
        low, high = (middle, high) if fits else (low, middle)
    return _scaled(whole, densities, sizes, low)


def _scaled(whole: Widths, densities: Mapping[str, float], sizes: Mapping[str, int], factor: float) -> Widths:
    """Every width by its layers' density and a common factor, from 1 to what it was."""

    def inside(pair: str) -> float:
        layers = [name for name in sizes if name.startswith(f"{pair}.")]
        return sum(densities[name] * sizes[name] for name in layers) / sum(sizes[name] for name in layers)

    def outside(layer: str) -> float:
        return sqrt(densities[f"{layer}.0"])

    ratios = (
        outside("stem"),
        outside("second"),
        inside("first_pair"),
        outside("third"),
        outside("fourth"),
        inside("second_pair"),
    )
    pairs = zip(whole, ratios, strict=True)
    return Widths(*(max(1, min(width, round(factor * ratio * width))) for width, ratio in pairs))


def _parameters(widths: Widths) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in ResNet9(widths=widths).parameters())


def _weights(module: nn.Module) -> dict[str, torch.Tensor]:
    """Of convolutions and linear layers, by name."""
    layers = {
        name: child for name, child in module.named_modules() if isinstance(child, nn.Conv2d | nn.Linear)
    }
    return {name: child.weight for name, child in layers.items()}


def synflow(module: nn.Module, keep: float, rounds: int = ROUNDS) -> dict[str, float]:
    """Share of each layer's weights that SynFlow keeps: |w dR/dw|, R the summed output of a picture of ones.

    All parameters are replaced by their magnitudes; after round k, keep^(k / rounds) of all weights are left.
    In float64, since R is a product over all layers. The module is as before.
    """
    linear = copy.deepcopy(module).double().eval()
    with torch.no_grad():
        for value in linear.state_dict().values():
            if value.is_floating_point():
                value.abs_()
    weights = _weights(linear)
    masks = {name: torch.ones_like(weight) for name, weight in weights.items()}
    total = sum(weight.numel() for weight in weights.values())
    ones = torch.ones(PICTURE, dtype=torch.float64)
    for number in range(1, rounds + 1):
        found = torch.autograd.grad(linear(ones).sum(), list(weights.values()))
        scores = {name: (weight * g).abs() for (name, weight), g in zip(weights.items(), found, strict=True)}
        count = max(1, int(total * keep ** (number / rounds) + 1e-9))
        pooled = torch.cat([(scores[name] * masks[name]).flatten() for name in scores])
        least = pooled.topk(count).values[-1]
        with torch.no_grad():
            for name, weight in weights.items():
                masks[name] = (scores[name] >= least).double() * masks[name]
                weight *= masks[name]
    return {name: max(float(mask.mean()), 1 / mask.numel()) for name, mask in masks.items()}


def even(sizes: Mapping[str, int], keep: float) -> dict[str, float]:
    """min(1, c / size): of every layer as many weights, or all; their number is `keep` of all.

    What maximises the product of densities, to which SynFlow's R is proportional where masks are random.
    """
    low, high = 0.0, float(max(sizes.values()))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        left = sum(min(size, middle) for size in sizes.values())
        low, high = (middle, high) if left <= keep * sum(sizes.values()) else (low, middle)
    return {name: min(1.0, low / size) for name, size in sizes.items()}
