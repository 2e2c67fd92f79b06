"""A kernel as rows: every k-step of every thread block, with its bytes, addresses and clocks.

Blocks follow each other through panels of tiles of activations, down all weights of a panel. If k
is split, a block writes partial sums in FP32, and as many blocks again add them up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from accelsim.accelerators.base import check_pieces
from accelsim.accelerators.products import ELEMENT_BITS
from accelsim.plan import Buffer, Integers, Layout, Plan, Stage
from accelsim.workload import Matmul

if TYPE_CHECKING:
    from accelsim.accelerators.sparse_tensor_core.kernels import Kernel

Length = TypeVar("Length", int, Integers)

PARTIAL_BITS = 32
COPY, OPERANDS, CORE, EPILOGUE = range(4)


def layout_of(kernel: Kernel) -> Layout:
    """Slots are lanes, SMs are sites: what one SM's blocks share is the copy, the port and the core."""
    return Layout(
        lanes=kernel.slots,
        sites=kernel.core.sms,
        stages=(
            Stage(name="copy", scope="site", port="l2"),
            Stage(name="operands", scope="site"),
            Stage(name="tensor core", scope="site"),
            Stage(name="epilogue", scope="site", port="l2 write", write=True),
        ),
        buffers=(Buffer(name="shared memory", capacity=kernel.block_bytes, take="copy", give="tensor core"),),
    )


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
    """Of each product the first `tiles`, and of each block the first `steps`, with as much less to write.

    `forgets`: a wave has operands of its own, as if the L2 had lost those of the wave before.
    """

    tiles: int
    steps: int
    forgets: bool


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Jobs of one product in order. `block`: which of its blocks; the last ones add up partial sums."""

    block: Integers
    last: np.ndarray
    adds: np.ndarray
    weight_bytes: Integers
    activation_bytes: Integers
    output_bytes: Integers
    weight_at: Integers
    activation_at: Integers
    output_at: Integers
    after: Integers


def plan_of(kernel: Kernel, products: tuple[Matmul, ...], part: Part | None = None) -> Plan:
    """All products one after the other, or a part of each."""
    columns = [_columns(kernel, product, part) for product in products]
    sizes = [found.block.size for found in columns]
    plan = Plan(layout=layout_of(kernel), jobs=sum(sizes))
    blocks = np.cumsum([0] + [int(found.block[-1]) + 1 for found in columns])
    plan.group[:] = np.concatenate(
        [found.block + begin for found, begin in zip(columns, blocks, strict=False)]
    )
    adds, last = (np.concatenate([getattr(found, name) for found in columns]) for name in ("adds", "last"))
    _times(plan, kernel, columns, adds, last)
    _addresses(plan, kernel, columns)
    begin = 0
    for found, size in zip(columns, sizes, strict=True):
        after = found.after + begin
        if after.size:
            plan.add_after("copy", after[:, 0], "epilogue", after[:, 1])
        begin += size
    return plan


def _times(plan: Plan, kernel: Kernel, columns: list[_Columns], adds: np.ndarray, last: np.ndarray) -> None:
    core = kernel.core
    copied, written = (
        np.concatenate([sum((getattr(found, name) for name in names), np.int64(0)) for found in columns])
        for names in (("weight_bytes", "activation_bytes"), ("output_bytes",))
    )
    plan.busy[:, COPY] = -(-copied // core.l2_port_bytes)
    plan.busy[:, OPERANDS] = np.where(adds, 0, kernel.port_cycles)
    plan.busy[:, CORE] = np.where(adds, 0, kernel.mma_cycles)
    plan.busy[:, EPILOGUE] = -(-written // core.l2_port_bytes)
    plan.whole[:, [OPERANDS, EPILOGUE]] = True
    plan.lag[:, OPERANDS] = core.shared_latency
    plan.drain[:, CORE] = core.mma_latency
    plan.skip[:, OPERANDS] = plan.skip[:, CORE] = adds
    plan.skip[:, EPILOGUE] = ~last
    plan.take[:, 0] = plan.give[:, 0] = np.where(adds, 0, kernel.stage_bytes)


def _addresses(plan: Plan, kernel: Kernel, columns: list[_Columns]) -> None:
    """Every operand of every product has its own part of memory, one behind the other."""
    line, address, begin = kernel.core.l2.line_bytes, 0, 0
    for found in columns:
        base = {}
        for name in ("weight", "activation", "output"):
            own = ~found.adds | (name == "output")
            base[name] = address
            ends = (getattr(found, f"{name}_at") + getattr(found, f"{name}_bytes"))[own]
            address += aligned(int(ends.max()), line)
        # Partial sums are read where they were written.
        read_from = np.where(found.adds, base["output"], base["activation"])
        for stage, name, start in (
            ("copy", "weight", base["weight"]),
            ("copy", "activation", read_from),
            ("epilogue", "output", base["output"]),
        ):
            place = (start + getattr(found, f"{name}_at")) // line * line
            lines = -(-getattr(found, f"{name}_bytes") // line)
            plan.add_runs(stage, begin + np.arange(found.block.size), place, lines, line)
        begin += found.block.size


def _columns(kernel: Kernel, product: Matmul, sample: Part | None) -> _Columns:
    """Columns over (part of k, tile, k-step): bytes and addresses of the operands."""
    grid = grid_of(kernel, product)
    count = min(sample.tiles, grid.tiles) if sample else grid.tiles
    most = min(sample.steps, grid.block_steps) if sample else grid.block_steps
    check_pieces(count * most * grid.splits)
    part, tile = (axis.ravel() for axis in np.indices((grid.splits, count)))
    length = np.minimum(most, grid.deep - part * grid.block_steps)
    block = np.repeat(np.arange(part.size), length)
    step = np.arange(block.size) - np.repeat(np.cumsum(length) - length, length)
    last = step == length[block] - 1
    place, step = _Place.of(kernel, product, grid, tile[block]), step + part[block] * grid.block_steps
    found = _operands(kernel, product, grid, place, step, last)
    # Of fewer steps there is as much less to write, so that memory and tensor core keep their balance.
    found["output_bytes"] = -(-found["output_bytes"] * most // grid.block_steps)
    if sample and sample.forgets:
        wave = block // kernel.slots
        weights, activations = _strides(kernel)
        found["weight_at"] += wave * grid.copies * grid.tall * grid.deep * weights
        found["activation_at"] += wave * grid.copies * grid.wide * grid.deep * activations
    if grid.splits == 1:
        return _Columns(block=block, last=last, after=np.zeros((0, 2), np.int64), **found)
    return _with_sums(kernel, product, grid, block, last, found)


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a tile lies, and how many rows of either operand it has."""

    product: Integers
    weight: Integers
    activation: Integers
    weight_rows: Integers
    activation_rows: Integers

    @staticmethod
    def of(kernel: Kernel, product: Matmul, grid: Grid, tile: Integers) -> _Place:
        """By the tile's number in the order of launch."""
        which, inside = np.divmod(tile, grid.tall * grid.wide)
        width = kernel.panel
        panel, inside = np.divmod(inside, width * grid.tall)
        # The last panel may be narrower.
        weight, activation = np.divmod(inside, np.minimum(width, grid.wide - panel * width))
        activation = activation + panel * width
        shape = kernel.tile
        return _Place(
            product=which,
            weight=weight,
            activation=activation,
            weight_rows=np.minimum(shape.weights, product.n - weight * shape.weights),
            activation_rows=np.minimum(shape.activations, product.m - activation * shape.activations),
        )

    def number(self, grid: Grid) -> Integers:
        """Of the tile, by its place."""
        return (self.product * grid.wide + self.activation) * grid.tall + self.weight


def _operands(
    kernel: Kernel, product: Matmul, grid: Grid, place: _Place, step: Integers, last: np.ndarray
) -> dict[str, np.ndarray]:
    elements = np.minimum(kernel.tile_k, product.k - step * kernel.tile_k)
    # A ragged last group of weights is padded.
    stored_bits = padded(elements, kernel.group_elements) * kernel.weight_bits
    line, tile = kernel.core.l2.line_bytes, kernel.tile
    weight_stride, activation_stride = _strides(kernel)
    split = grid.splits > 1
    out_bits = PARTIAL_BITS if split else kernel.out_bits
    output_stride = aligned(tile.weights * tile.activations * out_bits / 8, line)
    number = place.number(grid) + (step // grid.block_steps * grid.tiles if split else 0)
    outputs = place.weight_rows * place.activation_rows
    return {
        "adds": np.zeros(step.size, np.bool_),
        "weight_bytes": np.ceil(place.weight_rows * stored_bits / 8).astype(np.int64),
        "activation_bytes": -(-place.activation_rows * elements * ELEMENT_BITS[kernel.core.dtype] // 8),
        "output_bytes": np.where(last, -(-outputs * out_bits // 8), 0),
        "weight_at": ((place.product * grid.tall + place.weight) * grid.deep + step) * weight_stride,
        "activation_at": ((place.product * grid.wide + place.activation) * grid.deep + step)
        * activation_stride,
        "output_at": number * output_stride,
    }


def _strides(kernel: Kernel) -> tuple[int, int]:
    """From one k-step of weights, or of activations, to the next: whole lines."""
    line = kernel.core.l2.line_bytes
    return aligned(kernel.step.a_bytes, line), aligned(kernel.step.b_bytes, line)


def _with_sums(
    kernel: Kernel,
    product: Matmul,
    grid: Grid,
    block: Integers,
    last: np.ndarray,
    found: dict[str, np.ndarray],
) -> _Columns:
    """Behind the blocks as many that add: each reads one part's sums, and writes its share of the tile."""
    ends = np.flatnonzero(last)
    blocks, tiles = ends.size, ends.size // grid.splits
    read = found["output_bytes"][ends]
    share = -(-read * kernel.out_bits // (PARTIAL_BITS * grid.splits))
    nothing = np.zeros(blocks, np.int64)
    # Results lie behind the partial sums.
    behind = int((found["output_at"][ends] + read).max())
    slot = aligned(
        kernel.tile.weights * kernel.tile.activations * kernel.out_bits / 8, kernel.core.l2.line_bytes
    )
    more = {
        "adds": np.ones(blocks, np.bool_),
        "weight_bytes": nothing,
        "activation_bytes": read,
        "output_bytes": share,
        "weight_at": nothing,
        "activation_at": found["output_at"][ends],
        "output_at": aligned(behind, kernel.core.l2.line_bytes) + np.arange(blocks) % tiles * slot,
    }
    jobs = block.size + np.arange(blocks)
    waits = np.repeat(jobs, grid.splits)
    others = ends[(np.arange(grid.splits)[None, :] * tiles + (np.arange(blocks) % tiles)[:, None])].ravel()
    return _Columns(
        block=np.concatenate([block, blocks + np.arange(blocks)]),
        last=np.concatenate([last, np.ones(blocks, np.bool_)]),
        after=np.stack([waits, others], axis=1),
        **{name: np.concatenate([column, more[name]]) for name, column in found.items()},
    )


def padded(length: Length, group: int) -> Length:
    """The next multiple of `group`."""
    return -(-length // group) * group


def aligned(size: float, line: int) -> int:
    """The next multiple of a line."""
    return math.ceil(size / line) * line
