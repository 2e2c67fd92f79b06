"""What lies in the L2 when a wave begins: operands of the waves before it, of the same product or the last.

Whole rows of tiles, all along k, are followed in a least recently used order. A wave whose operands are more
than the L2 holds leaves nothing of use: its last k-steps are there, and the next wave begins with the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from accelsim.accelerators.sparse_tensor_core.grids import Grid, Place, extents, grid_of, row_strides, strides
from accelsim.plan import Integers
from accelsim.workload import Matmul

if TYPE_CHECKING:
    from accelsim.accelerators.sparse_tensor_core.kernels import Kernel


class Rows(NamedTuple):
    """Rows of tiles of weights, and of activations, that some tiles multiply; numbers over all copies."""

    weights: Integers
    activations: Integers

    @staticmethod
    def of(kernel: Kernel, product: Matmul, grid: Grid, first: int, last: int) -> Rows:
        """Of the tiles `first` to before `last`."""
        places = Place.of(kernel, product, grid, np.arange(first, last))
        return Rows(
            weights=np.unique(places.product * grid.tall + places.weight),
            activations=np.unique(places.product * grid.wide + places.activation),
        )

    def bytes(self, kernel: Kernel, grid: Grid) -> int:
        """All along k, in whole lines."""
        weights, activations = strides(kernel)
        return grid.deep * (self.weights.size * weights + self.activations.size * activations)


def fresh_bytes(kernel: Kernel, product: Matmul, grid: Grid) -> Integers:
    """For every full wave, the bytes of its operands that the waves before it have not left in the L2."""
    sizes = [grid.deep * stride for stride in strides(kernel)]
    held: dict[tuple[int, int], None] = {}
    fresh, room = [], kernel.core.l2.bytes
    for first in range(0, grid.tiles - kernel.slots + 1, kernel.slots):
        rows = Rows.of(kernel, product, grid, first, first + kernel.slots)
        keys = [(which, row) for which, found in enumerate(rows) for row in found.tolist()]
        fresh.append(sum(sizes[key[0]] for key in keys if key not in held))
        if rows.bytes(kernel, grid) > room:
            held.clear()
            continue
        for key in keys:
            held.pop(key, None)
            held[key] = None
        total = sum(sizes[key[0]] for key in held)
        while total > room:
            oldest = next(iter(held))
            del held[oldest]
            total -= sizes[oldest[0]]
    return np.array(fresh, np.int64)


def held_before(kernel: Kernel, product: Matmul, grid: Grid, tile: int) -> Integers:
    """Addresses that the waves before `tile` have read, as many as the L2 may hold, the most recent last."""
    lines: list[Integers] = []
    total, last = 0, tile
    while last > 0 and total < kernel.core.l2.bytes:
        first = (last - 1) // kernel.slots * kernel.slots
        rows = Rows.of(kernel, product, grid, first, last)
        if rows.bytes(kernel, grid) > kernel.core.l2.bytes:
            break
        lines.insert(0, _addresses(kernel, grid, rows))
        total += rows.bytes(kernel, grid)
        last = first
    return np.concatenate(lines) if lines else np.zeros(0, np.int64)


def held_at_start(kernel: Kernel, products: tuple[Matmul, ...]) -> Integers | None:
    """What the same products have left there, if they run over and over; None if the L2 begins empty."""
    if kernel.core.l2_holds == "nothing":
        return None
    found, address = [], 0
    for product in products:
        grid = grid_of(kernel, product)
        found.append(held_before(kernel, product, grid, grid.tiles) + address)
        address += sum(extents(kernel, grid))
    return np.concatenate(found)


def _addresses(kernel: Kernel, grid: Grid, rows: Rows) -> Integers:
    """Lines of both operands in the order of k-steps."""
    line, steps = kernel.core.l2.line_bytes, np.arange(grid.deep)[:, None, None]
    found, begin = [], 0
    operands = zip(rows, strides(kernel), row_strides(kernel, grid), extents(kernel, grid)[:2], strict=True)
    for numbers, stride, row, extent in operands:
        lines = np.arange(0, stride, line)
        at = begin + numbers[None, :, None] * row + steps * stride + lines
        found.append(at.reshape(grid.deep, -1))
        begin += extent
    return np.concatenate(found, axis=1).ravel()
