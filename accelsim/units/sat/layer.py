"""A layer's training step as jobs of SAT's machine: forward, backward, gradients of weights, update.

A convolution comes as the product that it is lowered to (im2col), its taps padded to whole groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.formats import NM, aligned_groups, reduce_nm
from accelsim.units.sat.images import Float16, Float32, Memory, dense, product, update
from accelsim.units.sat.jobs import Product, Update


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What a step begins with: activations (m, k), gradients of outputs (m, n), weights, velocities (k, n).

    Weights (FP32) are those that the optimiser keeps; the copies that products use are made of them.
    """

    activations: Float16
    gradients: Float16
    weights: Float32
    velocities: Float32


@dataclass(frozen=True, kw_only=True)
class Step:
    """The jobs of a step, in their order."""

    forward: Product
    backward: Product
    gradients: Product
    update: Update


def spanned(matrix: npt.NDArray[Any], span: int, group: int) -> npt.NDArray[Any]:
    """(rows, k) with every span of k padded to whole groups, so that none straddles two taps of a kernel."""
    rows = len(matrix)
    groups = aligned_groups(matrix.reshape(rows, -1, span), group)
    return groups.reshape(rows, -1)


def copy(weights: Float16, kept: int, group: int) -> NM:
    """The compact copy of (rows, k) weights, groups along k: what SORE makes of them."""
    code = reduce_nm(weights.view(np.uint16), kept, group)
    return NM(n=kept, m=group, length=code.length, values=code.values.view(np.float16), indices=code.indices)


def training_step(memory: Memory, layer: Layer, words: Mapping[str, int]) -> Step:
    """Images and jobs of a step. words: the scheduler's, of `ff`, `bp` and `wu`.

    k is padded to whole tiles of C. Results are Y (m, n) and dX (m, k) in FP16, dW (k, n) in FP32.
    """
    parameters = memory.parameters
    kept, group = parameters.kept, parameters.group
    missing = -layer.weights.shape[0] % parameters.cols
    activations = np.pad(layer.activations, ((0, 0), (0, missing)))
    weights, velocities = (np.pad(each, ((0, missing), (0, 0))) for each in (layer.weights, layer.velocities))
    halves = weights.astype(np.float16)
    transposed = np.ascontiguousarray(halves.T)
    forward = product(memory, activations, copy(transposed, kept, group), word=words["ff"])
    backward = product(memory, layer.gradients, copy(halves, kept, group), word=words["bp"])
    gradients = product(
        memory,
        np.ascontiguousarray(activations.T),
        dense(np.ascontiguousarray(layer.gradients.T), group),
        word=words["wu"],
        narrow=False,
    )
    changes = update(memory, gradients, weights, velocities, forward=forward.north, backward=backward.north)
    return Step(forward=forward, backward=backward, gradients=gradients, update=changes)
