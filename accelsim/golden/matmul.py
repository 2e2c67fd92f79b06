"""Matrix products with a stated order of accumulation: integers, fp16 into fp32, and N:M weights.

All take activations (m, k) and an operand (n, k), both reduced over their last axis, and give (m, n).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.fixed import Fixed, Raw
from accelsim.golden.formats import NM

Float16 = npt.NDArray[np.float16]
Float32 = npt.NDArray[np.float32]


def matmul_integer(
    activations: npt.NDArray[Any], operand: npt.NDArray[Any], accumulator: Fixed | None = None
) -> Raw:
    """Exact product of integers, (m, k) and (n, k) to (m, n), int64.

    accumulator: a format without fraction bits that wraps gives what an accumulator of that width holds,
    whatever the order, because wrapping at every step equals wrapping at the end. One that saturates
    clips the finished sum (an exact adder tree), not each step.
    Raises ValueError when a sum could leave int64.
    """
    _check_shapes(activations, operand)
    for name, array in (("activations", activations), ("operand", operand)):
        if not np.issubdtype(array.dtype, np.integer):
            raise ValueError(f"{name} must be integers, not {array.dtype}")
    largest = _largest(activations) * _largest(operand) * activations.shape[1]
    if largest >= 1 << 63:
        raise ValueError(f"sums must fit in 63 bits, not reach {largest}")
    total: Raw = activations.astype(np.int64) @ operand.astype(np.int64).T
    return total if accumulator is None else accumulator.fit(total)


def matmul_fp16(activations: Float16, operand: Float16, accumulators: int = 1) -> Float32:
    """fp16 products, exact in fp32, summed in fp32 (round to nearest even) by ascending k.

    accumulators: with I of them, k goes to accumulator k mod I; at the end the others are added to the first
    one by one, in ascending order (an adder whose result takes I cycles).
    """
    _check_shapes(activations, operand)
    left, right = _widened(activations), _widened(operand)
    sums = _accumulators(accumulators, len(left), len(right))
    for k in range(left.shape[1]):
        sums[k % accumulators] += left[:, k, None] * right[None, :, k]
    return _added(sums)


def matmul_nm(
    activations: Float16, weights: NM, accumulators: int = 1, initial: Float32 | None = None
) -> Float32:
    """fp16 activations (m, k) times N:M weights (n, k): only stored values, ascending group and index.

    initial: (m, n), what the first accumulator holds before; zeros unless said.

    With one accumulator it equals `matmul_fp16` of the decoded weights bit for bit, for finite activations:
    a skipped product would have added a zero. With I the stored position modulo I chooses the accumulator,
    as it does in hardware that never sees the zeros, and only rounding differs.
    """
    if weights.values.ndim != 3:
        raise ValueError(f"N:M weights must be of a matrix, not of {weights.values.ndim - 1} axes")
    if activations.ndim != 2 or activations.shape[1] != weights.length:
        raise ValueError(
            f"activations must have {weights.length} columns as the weights, not shape {activations.shape}"
        )
    outputs, groups, _ = weights.values.shape
    padding = groups * weights.m - weights.length
    left = np.pad(_widened(activations), ((0, 0), (0, padding)))
    columns = np.arange(groups)[:, None] * weights.m + weights.indices
    columns, values = columns.reshape(outputs, -1), _widened(weights.values).reshape(outputs, -1)
    sums = _accumulators(accumulators, len(left), outputs)
    if initial is not None:
        sums[0] = initial
    for position in range(columns.shape[1]):
        sums[position % accumulators] += left[:, columns[:, position]] * values[:, position]
    return _added(sums)


def fp16_error_bound(
    activations: Float16, operand: Float16, accumulators: int = 1
) -> npt.NDArray[np.float64]:
    """Largest difference of `matmul_fp16` from the exact product, elementwise, absent overflow.

    Each of the at most k + I additions rounds by at most 2^-24 of a partial sum, itself at most
    sum |a||b|: (1 + 2^-24)^(k + I) - 1 times that sum (products are exact; underflow of a sum is exact too).
    """
    _check_shapes(activations, operand)
    magnitudes = np.abs(activations.astype(np.float64)) @ np.abs(operand.astype(np.float64)).T
    growth = np.expm1((activations.shape[1] + accumulators) * np.log1p(2.0**-24))
    bound: npt.NDArray[np.float64] = magnitudes * growth
    return bound


def _widened(array: Float16) -> Float32:
    if array.dtype != np.float16:
        raise ValueError(f"operands must be float16, not {array.dtype}")
    return array.astype(np.float32)


def _accumulators(count: int, rows: int, columns: int) -> Float32:
    if count < 1:
        raise ValueError(f"accumulators must be at least 1, not {count}")
    return np.zeros((count, rows, columns), dtype=np.float32)


def _added(sums: Float32) -> Float32:
    """All accumulators added to the first, in ascending order."""
    total: Float32 = sums[0]
    for other in sums[1:]:
        total = total + other
    return total


def _check_shapes(activations: npt.NDArray[Any], operand: npt.NDArray[Any]) -> None:
    if activations.ndim != 2 or operand.ndim != 2 or activations.shape[1] != operand.shape[1]:
        raise ValueError(
            f"a product must be of (m, k) and (n, k), not of {activations.shape} and {operand.shape}"
        )


def _largest(array: npt.NDArray[Any]) -> int:
    """Largest magnitude, exact for the most negative integer too."""
    return max(abs(int(array.min())), abs(int(array.max()))) if array.size else 0
