"""From the layers of a forward pass to those of a training step: three products a weight, then updates.

Of Y = X W^T (m x n, reduced over k) the input's gradient is dX = dY W (m x k, over n) and the weight's is
dW^T = X^T dY (k x n, over m). Where both operands are activations, both gradients are of the first kind.
Convolutions stay in im2col form; their backward product gives columns that are then summed into places.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

import numpy as np

from accelsim.golden.formats import Bitmap
from accelsim.workload import Attention, Layer, Matmul, Update

REPEATED = re.compile(r"#\d+(?=\.|$)")  # behind the name of a layer that runs again; a stage may follow


@dataclass(frozen=True, kw_only=True)
class Directions:
    """Patterns of one layer in both directions, "N:M" or "dense".

    `backward_mask`: of its weight, with the forward product's shape (n, k) or (count, n, k).
    `gradient_mask` (m, n): of the output gradient in the backward product, where that is pruned instead.
    """

    forward: str = "dense"
    backward: str = "dense"
    backward_mask: Bitmap | None = None
    gradient_mask: Bitmap | None = None


@dataclass(frozen=True, kw_only=True)
class Optimiser:
    """What every update of a step has in common; see `accelsim.workload.Update`."""

    state: int = 1
    weight_decay: bool = False
    decay: bool = False
    loss_scale: int = 1
    skipped: bool = False


@dataclass(frozen=True, kw_only=True)
class Step:
    """Beside the forward layers, what a step knows.

    `directions` by name of the layer; others are dense. `without_input_gradient`: layers whose input is the
    network's own. `other_parameters`: biases, norms and whatever else is trained without a product.
    `shared`: layers whose weight is that of another one, by name, which updates it.
    """

    directions: Mapping[str, Directions] = field(default_factory=dict)
    without_input_gradient: AbstractSet[str] = frozenset()
    optimiser: Optimiser = field(default_factory=Optimiser)
    other_parameters: int = 0
    shared: Mapping[str, str] = field(default_factory=dict)


def training_step(layers: Sequence[Layer], step: Step) -> tuple[Layer, ...]:
    """All forward products, backward and weight gradients from the last layer to the first, then updates.

    What is no product (Unknown) is listed once, forward. A weight that several layers use is updated once.
    """
    products = [product for layer in layers for product in _forward(layer, step)]
    made: list[Layer] = list(products)
    updates: dict[str, Update] = {}
    for product in reversed(products):
        if not isinstance(product, Matmul):
            continue
        if product.weights:
            made += _of_weight(product, step)
            base = REPEATED.sub("", product.layer)
            base = step.shared.get(base, base)
            updates.setdefault(base, _update(base, product, step))
        else:
            made += _of_activations(product)
    made += reversed(updates.values())
    if step.other_parameters:
        dense = Update(
            name="other parameters.update",
            n=step.other_parameters,
            k=1,
            state=step.optimiser.state,
            loss_scale=step.optimiser.loss_scale,
            skipped=step.optimiser.skipped,
        )
        made.append(dense)
    return tuple(made)


def _forward(layer: Layer, step: Step) -> Sequence[Layer]:
    """The forward products of a layer, named by their stage."""
    if isinstance(layer, Attention):
        heads = layer.batch * layer.heads
        sizes = {"qk": (layer.keys, layer.dim), "pv": (layer.value_dim, layer.keys)}
        return [
            Matmul(
                name=f"{layer.name}.{part}.ff",
                m=layer.queries,
                n=n,
                k=k,
                count=heads,
                dtype=layer.dtype,
                weights=False,
                stage="ff",
            )
            for part, (n, k) in sizes.items()
        ]
    if isinstance(layer, Matmul):
        pattern = _of(layer.name, step).forward
        return [replace(layer, name=f"{layer.name}.ff", stage="ff", geometry=_stated(layer, pattern))]
    return [layer]


def _of_weight(product: Matmul, step: Step) -> list[Layer]:
    """The gradients of a weight's input and of the weight."""
    directions = _of(product.layer, step)
    gradient = replace(
        product,
        name=f"{product.layer}.wu",
        m=product.k,
        k=product.m,
        stage="wu",
        weights=False,
        mask=None,
        geometry=_stated(product, "dense"),
    )
    if product.layer in step.without_input_gradient:
        return [gradient]
    return [_backward(product, directions), gradient]


def _backward(product: Matmul, directions: Directions) -> Matmul:
    """The gradient of a weight's input; the operand that is pruned is the n x k one."""
    backward = replace(
        product,
        name=f"{product.layer}.bp",
        n=product.k,
        k=product.n,
        stage="bp",
        mask=None if directions.backward_mask is None else _transposed(directions.backward_mask),
        geometry=_stated(product, directions.backward),
    )
    if directions.gradient_mask is None:
        return backward
    return replace(backward, m=backward.n, n=backward.m, weights=False, mask=directions.gradient_mask)


def _of_activations(product: Matmul) -> list[Layer]:
    """The gradients of the left (m x k) and of the right (n x k) operand."""
    m, n, k = product.m, product.n, product.k
    left = replace(product, name=f"{product.layer}.left.bp", n=k, k=n, stage="bp")
    right = replace(product, name=f"{product.layer}.right.bp", m=n, n=k, k=m, stage="bp")
    return [left, right]


def _update(name: str, product: Matmul, step: Step) -> Update:
    directions, optimiser = _of(product.layer, step), step.optimiser
    # The copies are pruned by weight; output gradients are not stored.
    backward = directions.backward if directions.gradient_mask is None else "dense"
    return Update(
        name=f"{name}.update",
        n=product.n,
        k=product.k,
        count=product.count,
        forward=directions.forward,
        backward=backward,
        state=optimiser.state,
        weight_decay=optimiser.weight_decay,
        decay=optimiser.decay and directions.forward != "dense",
        loss_scale=optimiser.loss_scale,
        skipped=optimiser.skipped,
        geometry=_stated(product, "dense"),
    )


def _of(name: str, step: Step) -> Directions:
    return step.directions.get(REPEATED.sub("", name), Directions())


def _stated(product: Matmul, pattern: str) -> dict[str, int | str]:
    """The geometry with the pattern of one direction, if it has one."""
    geometry = {key: value for key, value in product.geometry.items() if key != "pattern"}
    return geometry if pattern == "dense" else {**geometry, "pattern": pattern}


def _transposed(mask: Bitmap) -> Bitmap:
    return Bitmap.pack(np.swapaxes(mask.unpack(), -2, -1))
