"""Pieces of a training step's products for SAT's array: what `accelsim verify sat.array --workload` runs.

A workload holds shapes and masks, no numbers: activations, gradients and the weights that a mask keeps are
drawn, the others are zero and never enter the array.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accelsim.accelerators.products import Pattern, find_pattern, products
from accelsim.golden.formats import NM
from accelsim.units.sat_array import Fold, SatArray
from accelsim.workload import Attention, Matmul, Workload
from accelsim_rtl.kit.replay import UnfitError, spread

MOST_PIECES = 24
"""Folds that a seed draws."""

MOST_GROUPS = 12
"""Of a fold whose sums stay; and rows of activations of one whose weights stay."""

LARGEST_GROUP = 32


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A fold as it enters: activations (beats, rows, M), weights (..., cols) and their indices."""

    fold: Fold
    activations: np.ndarray
    values: np.ndarray
    indices: np.ndarray


def pieces(
    parameters: SatArray, workload: Workload, generator: np.random.Generator
) -> tuple[list[Piece], str]:
    """Folds of both dataflows, spread over stages and products, and a line that says which.

    Raises UnfitError if nothing of the workload is a matrix product that the array can take.
    """
    found = [
        product
        for layer in workload.layers
        if isinstance(layer, (Matmul, Attention))
        for product in products(layer)
    ]
    patterns = [find_pattern(product, LARGEST_GROUP) for product in found]
    fitting = [
        (product, pattern)
        for product, pattern in zip(found, patterns, strict=True)
        if pattern.is_dense or pattern.group <= parameters.group
    ]
    if not fitting:
        wanted = min((pattern.group for pattern in patterns), default=0)
        what = f"group={wanted} or more" if wanted else "a workload with matrix products"
        raise UnfitError(f"{workload.model!r} must meet {what}, not group={parameters.group}")
    stages = by_stage(fitting)
    drawn, said = [], []
    shares = spread([2 * len(members) for members in stages.values()], MOST_PIECES)
    for (stage, members), share in zip(stages.items(), shares, strict=True):
        for place, number in enumerate(generator.permutation(2 * len(members))[:share]):
            product, pattern = members[int(number) // 2]
            drawn.append(_piece(parameters, product, pattern, bool((number + place) % 2), generator))
        sparse = sum(not pattern.is_dense for _, pattern in members)
        said.append(f"{share} of {stage or 'inference'} ({sparse} of {len(members)} products are N:M)")
    left = len(found) - len(fitting)
    sentence = f"{len(drawn)} folds of {workload.model}: {', '.join(said)}; numbers are drawn"
    return drawn, sentence + (
        f"; {left} products have groups of more than {parameters.group}" if left else ""
    )


def by_stage(fitting: list[tuple[Matmul, Pattern]]) -> dict[str, list[tuple[Matmul, Pattern]]]:
    """Products and their patterns by stage."""
    stages: dict[str, list[tuple[Matmul, Pattern]]] = {}
    for product, pattern in fitting:
        stages.setdefault(product.stage, []).append((product, pattern))
    return stages


def _piece(
    parameters: SatArray, product: Matmul, pattern: Pattern, stationary: bool, generator: np.random.Generator
) -> Piece:
    """A place in the product, drawn: some groups of k, as many columns of n as fit."""
    kept, group = (1, 1) if pattern.is_dense else (pattern.kept, pattern.group)
    spans = product.k // product.group_span
    limit = max(1, parameters.rows // kept) if stationary else min(MOST_GROUPS, parameters.longest)
    groups = min(limit, -(-product.group_span // group))
    first = int(generator.integers(0, -(-product.group_span // group) - groups + 1)) * group
    begin = int(generator.integers(spans)) * product.group_span + first
    width = min(groups * group, product.group_span - first)
    blocks = 1 if stationary else parameters.interleave
    weights = weights_of(product, begin, width, blocks * parameters.cols, generator)
    code = NM.encode(weights, kept, group)
    if stationary:
        return _weights_stay(parameters, code, product.m, generator)
    shape = (blocks, parameters.cols, groups, kept)
    values, indices = (array.reshape(shape).transpose(2, 3, 0, 1) for array in (code.values, code.indices))
    activations = numbers(generator, (groups, parameters.rows, group))
    activations[:, product.m :] = 0
    return Piece(
        fold=Fold(stationary=False, beats=groups, kept=kept),
        activations=activations,
        values=values,
        indices=indices,
    )


def weights_of(
    product: Matmul, begin: int, width: int, columns: int, generator: np.random.Generator
) -> np.ndarray:
    """(columns, width) weights, those that the mask drops and columns that are missing zero."""
    count = min(columns, product.n)
    start = int(generator.integers(0, product.n - count + 1))
    kept = np.ones((count, width), np.bool_)
    if product.mask is not None:
        mask = product.mask.unpack()
        mask = mask if mask.ndim == 2 else mask[int(generator.integers(len(mask)))]
        kept = mask[start : start + count, begin : begin + width]
    weights = np.zeros((columns, width), np.float16)
    weights[:count] = np.where(kept, numbers(generator, kept.shape), 0)
    return weights


def _weights_stay(parameters: SatArray, code: NM, most_rows: int, generator: np.random.Generator) -> Piece:
    """Stored weights fill the rows one by one, each beside the group of activations that it is of."""
    stored = code.values.reshape(parameters.cols, -1)[:, : parameters.rows]
    indices = code.indices.reshape(parameters.cols, -1)[:, : parameters.rows]
    missing = ((0, 0), (0, parameters.rows - stored.shape[1]))
    stored, indices = np.pad(stored, missing), np.pad(indices, missing)
    beats = min(most_rows, parameters.longest, MOST_GROUPS)
    groups = numbers(generator, (beats, code.values.shape[1], code.m))
    rows = np.minimum(np.arange(parameters.rows) // code.n, groups.shape[1] - 1)
    return Piece(
        fold=Fold(stationary=True, beats=beats),
        activations=groups[:, rows],
        # The last row's weights enter first.
        values=np.ascontiguousarray(stored.T[::-1]),
        indices=indices.T[::-1],
    )


def numbers(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal numbers, none of them zero: what a mask keeps stays a stored weight."""
    drawn = generator.normal(0, 1, shape).astype(np.float16)
    return np.where(drawn == 0, np.float16(1), drawn)
