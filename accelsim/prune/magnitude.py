"""Magnitude pruning in place: zeros in the weights of linear and convolution layers.

N:M groups lie along the reduction: input features of a linear layer, input channels of a convolution at
a fixed tap. Which weights win is decided by `accelsim.golden`, ties included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from accelsim.golden.attention import keep_count
from accelsim.golden.formats import select_nm
from accelsim.golden.topk import top_k_mask
from accelsim.prune.recipes import Magnitude
from accelsim.words import by_reason

FORWARD = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True, kw_only=True)
class Zeroed:
    """Layers that got zeros, and those left dense with the reason, both by name."""

    names: tuple[str, ...]
    left_dense: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Prunable:
    """The weight of a linear or convolution layer, or of experts; `axis`: along which products are summed.

    `along`: how many of its weights are summed (of one group, in a grouped convolution).
    `obstacle`: why its weights cannot be zeroed; empty if they can.
    """

    name: str
    weight: torch.Tensor
    axis: int
    along: int
    obstacle: str = ""


def prune_weights(module: nn.Module, recipe: Magnitude) -> Zeroed:
    """Set the weights that `recipe` drops to zero, in place, in every layer that it fits.

    ValueError if it fits none. Weights that two layers share are pruned once.
    """
    names: list[str] = []
    left_dense: dict[str, str] = {}
    for layer in prunable(module):
        obstacle = layer.obstacle
        if not obstacle and recipe.m and layer.along % recipe.m:
            obstacle = f"{layer.along} weights along the reduction are no multiple of {recipe.m}"
        if obstacle:
            left_dense[layer.name] = obstacle
            continue
        rows = np.moveaxis(_array(layer.weight), layer.axis, -1)
        dropped = np.ascontiguousarray(np.moveaxis(~_kept(rows, recipe), -1, layer.axis))
        with torch.no_grad():
            layer.weight.masked_fill_(torch.from_numpy(dropped).to(layer.weight.device), 0)
        names.append(layer.name)
    if not names:
        reasons = by_reason(left_dense)
        words = f"{recipe.n}:{recipe.m}" if recipe.m else f"{recipe.keep:g}"
        raise ValueError(
            f"magnitude,{words} must fit at least one linear or convolution layer ({reasons or 'none here'})"
        )
    return Zeroed(names=tuple(names), left_dense=left_dense)


def prunable(module: nn.Module) -> Iterator[Prunable]:
    """All linear and convolution layers, each weight once."""
    # Lookups need every row of an embedding, so a layer that is tied to one keeps its weights.
    embedded = {
        child.weight.data_ptr()
        for child in module.modules()
        if isinstance(child, (nn.Embedding, nn.EmbeddingBag))
    }
    seen: set[int] = set()
    for name, child in module.named_modules():
        if isinstance(getattr(child, "is_transposed", None), bool):
            yield from _experts(name, child)
        if not _is_prunable(child):
            continue
        weight = child.weight
        assert isinstance(weight, torch.Tensor)
        obstacle = ""
        if "weight" not in child._parameters:
            obstacle = "its weight is computed from others"
        elif weight.data_ptr() in embedded:
            obstacle = "its weight is shared with an embedding"
        if weight.data_ptr() not in seen:
            seen.add(weight.data_ptr())
            axis = reduction_axis(child)
            groups = int(child.groups) if isinstance(child, TRANSPOSED) else 1
            yield Prunable(
                name=name or type(child).__name__,
                weight=weight,
                axis=axis,
                along=int(weight.shape[axis]) // groups,
                obstacle=obstacle,
            )


def _experts(name: str, child: nn.Module) -> Iterator[Prunable]:
    """The weights of all experts of a layer of `transformers`, (experts, outputs, inputs) or transposed."""
    axis = 1 if child.is_transposed else 2
    for attribute, weight in child.named_parameters(recurse=False):
        if weight.dim() == 3:
            yield Prunable(
                name=f"{name}.{attribute}".lstrip("."),
                weight=weight,
                axis=axis,
                along=int(weight.shape[axis]),
            )


def reduction_axis(layer: nn.Module) -> int:
    """Axis of the weight along which products are summed (and along which N:M groups lie)."""
    if isinstance(layer, (nn.Linear, *FORWARD)):
        return 1
    return 0  # transposed convolutions, and the Conv1D of transformers, keep their inputs first


def _is_prunable(layer: nn.Module) -> bool:
    if isinstance(layer, (nn.Linear, *FORWARD, *TRANSPOSED)):
        return True
    return type(layer).__name__ == "Conv1D" and type(layer).__module__ == "transformers.pytorch_utils"


def _array(weight: torch.Tensor) -> npt.NDArray[Any]:
    # numpy has no bfloat16; widening keeps the order and the ties of magnitudes.
    array: npt.NDArray[Any] = weight.detach().to(device="cpu", dtype=torch.float32).numpy()
    return array


def _kept(rows: npt.NDArray[Any], recipe: Magnitude) -> npt.NDArray[np.bool_]:
    """Which weights stay; the reduction is the last axis."""
    if recipe.pairs:
        sums = np.abs(rows).reshape(*rows.shape[:-1], -1, 2).sum(axis=-1)
        return np.repeat(select_nm(sums, recipe.n // 2, recipe.m // 2), 2, axis=-1)
    if recipe.m:
        return select_nm(rows, recipe.n, recipe.m)
    # Ties go to the lowest index of the weight as a layer stores it by output, tap and input.
    count = keep_count(rows.size, recipe.keep)
    return top_k_mask(np.abs(rows).ravel(), count).reshape(rows.shape)
