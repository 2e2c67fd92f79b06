"""How a kernel cuts a product: tiles and k-steps, and where in the result each tile lies.

Tiles follow each other through panels of tiles of activations, down all weights of a panel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from accelsim.plan import Integers
from accelsim.workload import Matmul

if TYPE_CHECKING:
    from accelsim.accelerators.sparse_tensor_core.kernels import Kernel

Length = TypeVar("Length", int, Integers)


class Grid(NamedTuple):
    """Tiles of one product: weights by activations, and k-steps; of a block if k is split."""

    copies: int
    tall: int
    wide: int
    deep: int
    block_steps: int

    @property
    def tiles(self) -> int:
        """Of the result."""
        return self.copies * self.tall * self.wide

    @property
    def splits(self) -> int:
        """Parts of k that are not empty."""
        return -(-self.deep // self.block_steps)

    @property
    def blocks(self) -> int:
        """Those that multiply: of each tile one for each part of k."""
        return self.tiles * self.splits


def grid_of(kernel: Kernel, product: Matmul) -> Grid:
    """How the kernel cuts a product."""
    deep = -(-product.k // kernel.tile_k)
    return Grid(
        copies=product.count,
        tall=-(-product.n // kernel.tile.weights),
        wide=-(-product.m // kernel.tile.activations),
        deep=deep,
        block_steps=-(-deep // kernel.splits),
    )


class Part(NamedTuple):
    """`tiles` of a product from `first` on, of each block the first `steps`, with as much less to write."""

    first: int
    tiles: int
    steps: int


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a tile lies, and how many rows of either operand it has."""

    product: Integers
    weight: Integers
    activation: Integers
    weight_rows: Integers
    activation_rows: Integers

    @staticmethod
    def of(kernel: Kernel, product: Matmul, grid: Grid, tile: Integers) -> Place:
        """By the tile's number in the order of launch."""
        which, inside = np.divmod(tile, grid.tall * grid.wide)
        width = kernel.panel
        panel, inside = np.divmod(inside, width * grid.tall)
        # The last panel may be narrower.
        weight, activation = np.divmod(inside, np.minimum(width, grid.wide - panel * width))
        activation = activation + panel * width
        shape = kernel.tile
        return Place(
            product=which,
            weight=weight,
            activation=activation,
            weight_rows=np.minimum(shape.weights, product.n - weight * shape.weights),
            activation_rows=np.minimum(shape.activations, product.m - activation * shape.activations),
        )

    @property
    def results(self) -> Integers:
        """Elements of the result in each tile."""
        return self.weight_rows * self.activation_rows

    def cluster(self, kernel: Kernel, grid: Grid) -> tuple[Integers, Integers]:
        """(tiles, 2): how many blocks share weights, and activations, and which of them this one is."""
        weights, activations = kernel.shares
        return _shared(self.activation, grid.wide, weights), _shared(self.weight, grid.tall, activations)

    def number(self, grid: Grid) -> Integers:
        """Of the tile, by its place."""
        return (self.product * grid.wide + self.activation) * grid.tall + self.weight


def _shared(neighbour: Integers, along: int, blocks: int) -> Integers:
    """(tiles, 2): blocks of its cluster (the last of `along` may be smaller), and its place among them."""
    first = neighbour // blocks * blocks
    return np.stack([np.minimum(blocks, along - first), neighbour - first], axis=1)


def row_strides(kernel: Kernel, grid: Grid) -> tuple[int, int]:
    """From all k-steps of a row of tiles to the next: some lines further, for want of hashed banks."""
    weights, activations = strides(kernel)
    further = kernel.core.row_stagger * kernel.core.l2.line_bytes
    return grid.deep * weights + further, grid.deep * activations + further


def extents(kernel: Kernel, grid: Grid) -> tuple[int, int, int]:
    """Bytes of address space of weights, activations and results, which lie one behind the other."""
    weights, activations = row_strides(kernel, grid)
    return (
        grid.copies * grid.tall * weights,
        grid.copies * grid.wide * activations,
        grid.tiles * result_stride(kernel),
    )


def result_stride(kernel: Kernel) -> int:
    """From one tile's results to the next: whole lines."""
    tile = kernel.tile
    return aligned(tile.weights * tile.activations * kernel.out_bits / 8, kernel.core.l2.line_bytes)


def strides(kernel: Kernel) -> tuple[int, int]:
    """From one k-step of weights, or of activations, to the next: whole lines."""
    line = kernel.core.l2.line_bytes
    return aligned(kernel.step.a_bytes, line), aligned(kernel.step.b_bytes, line)


def padded(length: Length, group: int) -> Length:
    """The next multiple of `group`."""
    return -(-length // group) * group


def aligned(size: float, line: int) -> int:
    """The next multiple of a line."""
    return math.ceil(size / line) * line
