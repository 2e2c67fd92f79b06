"""Which layers of a module N:M training prunes, and why the others stay dense."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from accelsim.prune.magnitude import FORWARD, Zeroed, prunable
from accelsim.prune.nm_masks import forward_mask, transposable_mask
from accelsim.prune.recipes import NmTraining
from accelsim.words import by_reason


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Linear and convolution layers that are pruned, and the reasons of those left dense, by name."""

    layers: dict[str, nn.Module]
    left_dense: dict[str, str]


def choose(module: nn.Module, recipe: NmTraining) -> Chosen:
    """All but the first and the last layer (in the order in which the module names them), if they fit.

    ValueError if none does.
    """
    modules = dict(module.named_modules())
    candidates = list(prunable(module))
    layers: dict[str, nn.Module] = {}
    left_dense: dict[str, str] = {}
    for index, candidate in enumerate(candidates):
        layer = modules.get(candidate.name, module)
        obstacle = candidate.obstacle
        if index == 0 and not recipe.first:
            obstacle = "the first layer"
        elif index == len(candidates) - 1 and not recipe.last:
            obstacle = "the last layer"
        elif not obstacle and not isinstance(layer, (nn.Linear, *FORWARD)):
            obstacle = f"{type(layer).__name__} is neither linear nor a plain convolution"
        elif not obstacle and 1 in (candidate.along, outputs_of_a_group(layer)):
            obstacle = "one channel in each group"
        if obstacle:
            left_dense[candidate.name] = obstacle
        else:
            layers[candidate.name] = layer
    if not layers:
        reasons = by_reason(left_dense)
        must = f"{recipe.words} must fit at least one linear or convolution layer"
        raise ValueError(f"{must} ({reasons or 'none here'})")
    return Chosen(layers=layers, left_dense=left_dense)


def groups_of(layer: nn.Module) -> int:
    """Channel groups of a convolution; 1 of a linear layer."""
    return int(getattr(layer, "groups", 1))


def outputs_of_a_group(layer: nn.Module) -> int:
    """Output channels that a backward product sums."""
    return int(weight_of(layer).shape[0]) // groups_of(layer)


def weight_of(layer: nn.Module) -> torch.Tensor:
    """The layer's dense weight."""
    weight = layer.weight
    assert isinstance(weight, torch.Tensor)
    return weight


def prune_forward(module: nn.Module, recipe: NmTraining) -> Zeroed:
    """Set to zero, in place, what the forward product of `recipe` leaves out; ValueError if nothing fits."""
    if not recipe.prunes_forward:
        raise ValueError(f"{recipe.words} prunes gradients alone: it belongs to a training step (--train)")
    chosen = choose(module, recipe)
    for layer in chosen.layers.values():
        weight = weight_of(layer)
        if recipe.method == "transposable":
            kept = transposable_mask(weight, recipe.n, recipe.m, groups_of(layer))
        else:
            kept = forward_mask(weight, recipe.n, recipe.m)
        with torch.no_grad():
            weight.masked_fill_(~kept, 0)
    return Zeroed(names=tuple(chosen.layers), left_dense=chosen.left_dense)
