"""Work beside the products, as optional terms of the time: passes over memory, with no arithmetic counted.

A pass is charged to every convolution of the step, forward and backward, by the elements of its output. Which
layers have a pooling or a way around them is not known here, so that those two are upper bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal, NamedTuple, get_args

import numpy as np

from accelsim.accelerators.folds import Folds
from accelsim.workload import Matmul

Pass = Literal["im2col", "norm", "relu", "pool", "residual"]
PASSES = get_args(Pass)
HALF_BYTES = 2


class Moved(NamedTuple):
    """Bytes for each output element of a layer."""

    read: float
    write: float


# FP16. norm: forward reads once for mean and variance and once to normalise, backward reads gradient and
# input for their sums and again for the result. relu: a bit an element says where the gradient passes. pool:
# 2 x 2, two bits say which of the four. residual: a sum of two, in both directions.
FORWARD = {
    "norm": Moved(4, 2),
    "relu": Moved(2, 2 + 1 / 8),
    "pool": Moved(2, (2 + 2 / 8) / 4),
    "residual": Moved(4, 2),
}
BACKWARD = {
    "norm": Moved(8, 2),
    "relu": Moved(2 + 1 / 8, 2),
    "pool": Moved((2 + 2 / 8) / 4, 2),
    "residual": Moved(4, 2),
}


def sizes(text: object) -> int:
    """Positions of "28x28"; 0 if it does not say."""
    words = str(text).split("x")
    return prod(map(int, words)) if all(word.isdecimal() for word in words) else 0


def input_share(product: Matmul) -> float:
    """Input elements of a convolution for each element of its columns (im2col); at most 1."""
    geometry = product.geometry
    if geometry.get("kind") != "convolution":
        return 1.0
    columns = product.m * product.count * (product.n if product.stage == "bp" else product.k)
    elements = prod(int(geometry.get(name, 0)) for name in ("batch", "input_channels"))
    elements *= sizes(geometry.get("input", ""))
    return min(1.0, elements / columns) if elements else 1.0


def passes(product: Matmul, names: Sequence[str], buffer_bytes: int) -> list[tuple[Folds, int]]:
    """Blocks without arithmetic that stand behind a product's own, in jobs of half a buffer."""
    if product.geometry.get("kind") != "convolution" or product.stage not in ("ff", "bp"):
        return []
    table = FORWARD if product.stage == "ff" else BACKWARD
    outputs = product.m * product.count * (product.n if product.stage == "ff" else product.k)
    blocks = [
        _pass(table[name].read * outputs, table[name].write * outputs, buffer_bytes)
        for name in names
        if name != "im2col"
    ]
    if "im2col" in names:
        columns = product.m * product.count * (product.k if product.stage == "ff" else product.n)
        inputs = columns * input_share(product)
        # Forward the columns are written, backward they are read and summed up.
        moved = (inputs, columns) if product.stage == "ff" else (columns, inputs)
        blocks.append(_pass(HALF_BYTES * moved[0], HALF_BYTES * moved[1], buffer_bytes))
    return blocks


def _pass(read: float, write: float, buffer_bytes: int) -> tuple[Folds, int]:
    """A job of so many bytes, and how often it comes; the last one is counted in full."""
    largest = max(read, write)
    times = max(1, round(largest / (buffer_bytes // 2)))
    one = [np.array([round(moved / times)], np.int64) for moved in (read, write)]
    nothing = np.zeros(1, np.int64)
    return (
        Folds(
            busy=nothing,
            activations=one[0],
            activations_give=one[0],
            weights=nothing,
            weights_give=nothing,
            partials=nothing,
            outputs=one[1],
            sums_take=nothing,
            sums_give=nothing,
            resume=nothing - 1,
            activations_at=nothing,
            weights_at=nothing,
            partials_at=nothing,
            outputs_at=nothing,
            activations_read=one[0],
            weights_read=nothing,
            sums_moved=one[1],
        ),
        times,
    )
