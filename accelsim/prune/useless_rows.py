"""Rows that nothing reads any more: of Q, K and V before a head that left, of an MLP before such a neuron.

FLAP (An et al., AAAI 2024) and ZipLM (Kurtic et al., NeurIPS 2023) take both out as a whole. What these rows
gave was multiplied by zero, so nothing that the model puts out changes by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from accelsim.prune.fitted import Fitted
from accelsim.prune.kinds import neurons_of, qkv_of
from accelsim.prune.matrices import Matrix, matrices
from accelsim.prune.word import whole

PROBES = 4


def clear_useless_rows(module: Any, fitted: Fitted) -> None:
    """Add zero rows, and biases, to what was `fitted` with the pattern `heads` or `columns`.

    Of linear layers alone that are known by their names. A K/V head that several heads share goes when all of
    them have gone; fused Q, K and V stay, for their rows have no common order. An MLP is tried on drawn rows.
    """
    layers = {matrix.name: matrix for matrix in matrices(module)}
    for name, weight in list(fitted.weights.items()):
        if name in fitted.factors:
            continue
        stays = (weight.movedim(layers[name].axis, -1) != 0).flatten(0, -2).any(0)
        if fitted.recipe.shape.name == "heads":
            _clear_heads(name, stays, whole(fitted.recipe.shaping(module), "width"), layers, fitted)
        elif fitted.recipe.shape.name == "columns":
            _clear_neurons(module, name, stays, layers, fitted)


def _clear_heads(
    name: str, stays: torch.Tensor, width: int, layers: Mapping[str, Matrix], fitted: Fitted
) -> None:
    """Of Q, K and V before the projection `name`, of whose inputs some stay; unless all three are known."""
    found = [layers[other] for other in qkv_of(name, layers)]
    rows = [matrix.size // matrix.shape[-1] for matrix in found]
    known = all(matrix.is_linear and not matrix.obstacle for matrix in found)
    if not known or not rows or rows[0] != len(stays) or any(len(stays) % each for each in rows):
        return
    heads = stays.reshape(-1, width).any(dim=1)
    for matrix, each in zip(found, rows, strict=True):
        shared = heads.reshape(each // width, -1).any(dim=1)
        _clear(matrix, shared.repeat_interleave(width), fitted)


def _clear_neurons(
    module: Any, name: str, stays: torch.Tensor, layers: Mapping[str, Matrix], fitted: Fitted
) -> None:
    """Of the layers that give the inputs of an MLP's second layer `name`, of which some stay."""
    found = [layers[other] for other in neurons_of(name, layers)]
    fits = all(matrix.is_linear and not matrix.obstacle for matrix in found)
    if not found or not fits or any(matrix.size // matrix.shape[-1] != len(stays) for matrix in found):
        return
    if _are_apart(module, found, layers[name], stays):
        for matrix in found:
            _clear(matrix, stays, fitted)


@torch.no_grad()
def _are_apart(module: Any, found: list[Matrix], second: Matrix, stays: torch.Tensor) -> bool:
    """Whether neurons that stay do not see the others on their way: no norm, softmax or sum is between.

    The module around the first layers is run on drawn rows, with and without the rows that would go.
    """
    around = found[0].name.rpartition(".")[0]
    part = module.get_submodule(around)
    given = torch.randn(PROBES, found[0].shape[-1], generator=torch.Generator().manual_seed(0))
    training = part.training
    before = [matrix.weight.clone() for matrix in (*found, second)]
    biases = [matrix.layer.bias for matrix in found]
    kept = [None if bias is None else bias.clone() for bias in biases]
    try:
        part.eval()
        second.weight.movedim(second.axis, -1)[..., ~stays] = 0
        whole_output = part(given.to(found[0].weight))
        for matrix, bias in zip(found, biases, strict=True):
            matrix.weight.movedim(matrix.axis, -1)[~stays] = 0
            if bias is not None:
                bias[~stays] = 0
        output = part(given.to(found[0].weight))
    except Exception:
        # A part that takes more than rows cannot be tried.
        return False
    finally:
        part.train(training)
        for matrix, weight in zip((*found, second), before, strict=True):
            matrix.weight.copy_(weight)
        for bias, copy in zip(biases, kept, strict=True):
            if bias is not None:
                bias.copy_(copy)
    if not isinstance(output, torch.Tensor) or not isinstance(whole_output, torch.Tensor):
        return False
    if not second.name.startswith(f"{around}." if around else ""):
        whole_output, output = whole_output[..., stays], output[..., stays]
    return torch.equal(whole_output, output)


def _clear(matrix: Matrix, stays: torch.Tensor, fitted: Fitted) -> None:
    """Zero the rows that do not stay, in weight and bias, whatever else was fitted of the layer."""
    if stays.all():
        return
    old = fitted.weights.get(matrix.name, matrix.weight)
    rows = matrix.rows_of(old).clone()
    rows[:, ~stays] = 0
    fitted.weights[matrix.name] = matrix.shaped(rows).to(old.dtype)
    fitted.left_dense.pop(matrix.name, None)
    bias = matrix.layer.bias
    if bias is not None:
        own = bias.detach().cpu().float()
        gain = fitted.bias.get(matrix.name, torch.zeros_like(own))
        fitted.bias[matrix.name] = torch.where(stays, gain, -own)
