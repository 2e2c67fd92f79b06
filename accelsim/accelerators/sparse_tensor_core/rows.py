"""A kernel as rows: every k-step of every thread block, with its bytes, addresses and clocks.

A block sends its results to the L2. They leave it during the block that comes a wave later, one tile of a
wave after the other; those of the last wave stay, and what the same product left before goes during the
first. If k is split, blocks send partial sums in FP32, and as many blocks again add them up, all in the L2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelsim.accelerators.base import check_pieces
from accelsim.accelerators.products import ELEMENT_BITS
from accelsim.accelerators.sparse_tensor_core.events import PARTIAL_BITS
from accelsim.accelerators.sparse_tensor_core.grids import (
    Grid,
    Part,
    Place,
    extents,
    grid_of,
    padded,
    result_stride,
    row_strides,
    strides,
)
from accelsim.plan import Buffer, Flags, Integers, Layout, Plan, Stage
from accelsim.workload import Matmul

if TYPE_CHECKING:
    from accelsim.accelerators.sparse_tensor_core.kernels import Kernel

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


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Jobs of one product in order; lines are counts, `_at` are addresses within the operand.

    `block`: which of its blocks; the last ones add up partial sums. `copied`: bytes into shared memory,
    `sent`: bytes of results to the L2. `after`: jobs, and jobs whose results they wait for.
    """

    block: Integers
    last: Flags
    adds: Flags
    copied: Integers
    sent: Integers
    weight_lines: Integers
    weight_at: Integers
    activation_lines: Integers
    activation_at: Integers
    output_lines: Integers
    output_at: Integers
    after: Integers


def plan_of(kernel: Kernel, products: tuple[Matmul, ...], part: Part | None = None) -> Plan:
    """All products one after the other, or a part of each."""
    columns = [_columns(kernel, product, part) for product in products]
    plan = Plan(layout=layout_of(kernel), jobs=sum(found.block.size for found in columns))
    job = block = address = 0
    for product, found in zip(products, columns, strict=True):
        jobs = slice(job, job + found.block.size)
        plan.group[jobs] = found.block + block
        _times(plan, kernel, found, jobs)
        sizes = extents(kernel, grid_of(kernel, product))
        _runs(plan, kernel, found, job, address, sizes)
        address += sum(sizes)
        if found.after.size:
            plan.add_after("copy", found.after[:, 0] + job, "epilogue", found.after[:, 1] + job)
        job, block = jobs.stop, block + int(found.block[-1]) + 1
    return plan


def _times(plan: Plan, kernel: Kernel, found: _Columns, jobs: slice) -> None:
    core, adds = kernel.core, found.adds
    sends = min(core.l2_port_bytes, core.l2.bandwidth / core.clock_hz / core.sms)
    plan.busy[jobs, COPY] = -(-found.copied // core.l2_port_bytes)
    plan.busy[jobs, OPERANDS] = np.where(adds, 0, kernel.port_cycles)
    plan.busy[jobs, CORE] = np.where(adds, 0, kernel.mma_cycles)
    plan.busy[jobs, EPILOGUE] = np.ceil(found.sent / sends)
    plan.whole[jobs, OPERANDS] = True
    plan.whole[jobs, EPILOGUE] = found.last
    plan.lag[jobs, OPERANDS] = core.shared_latency
    plan.drain[jobs, CORE] = core.mma_latency
    # Partial sums come from the L2, whose hits take this long.
    plan.drain[jobs, COPY] = np.where(adds, round(core.l2.hit_latency * core.clock_hz), 0)
    plan.skip[jobs, OPERANDS] = plan.skip[jobs, CORE] = adds
    plan.skip[jobs, EPILOGUE] = ~found.last & (found.output_lines == 0)
    plan.take[jobs, 0] = plan.give[jobs, 0] = np.where(adds, 0, kernel.stage_bytes)


def _runs(
    plan: Plan, kernel: Kernel, found: _Columns, job: int, address: int, sizes: tuple[int, ...]
) -> None:
    """Every operand has its own part of memory, one behind the other."""
    line, jobs = kernel.core.l2.line_bytes, job + np.arange(found.block.size)
    operands = (("copy", "weight"), ("copy", "activation"), ("epilogue", "output"))
    for (stage, name), size in zip(operands, sizes, strict=True):
        at, lines = getattr(found, f"{name}_at"), getattr(found, f"{name}_lines")
        plan.add_runs(stage, jobs, address + at, lines, line, operand=f"{name}s")
        address += size


def _columns(kernel: Kernel, product: Matmul, sample: Part | None) -> _Columns:
    """Columns over (part of k, tile, k-step)."""
    grid = grid_of(kernel, product)
    first, count = (sample.first, sample.tiles) if sample else (0, grid.tiles)
    most = min(sample.steps, grid.block_steps) if sample else grid.block_steps
    check_pieces(count * most * grid.splits)
    part, tile = (axis.ravel() for axis in np.indices((grid.splits, count)))
    length = np.minimum(most, grid.deep - part * grid.block_steps)
    block = np.repeat(np.arange(part.size), length)
    step = np.arange(block.size) - np.repeat(np.cumsum(length) - length, length)
    places = Place.of(kernel, product, grid, first + np.arange(count))
    last = step == length[block] - 1
    bits = PARTIAL_BITS if grid.splits > 1 else kernel.out_bits
    columns = {
        "block": block,
        "last": last,
        "adds": np.zeros(block.size, np.bool_),
        "sent": np.where(last, -(-places.results[tile[block]] * bits // 8), 0),
        **_operands(kernel, product, grid, places, tile[block], step + part[block] * grid.block_steps),
        # Of fewer steps there is as much less to write, so that memory and tensor core keep their balance.
        **_results(kernel, product, grid, first, block, step == 0, length, most / grid.block_steps),
    }
    if grid.splits == 1:
        return _Columns(after=np.zeros((0, 2), np.int64), **columns)
    return _with_sums(kernel, grid, places, columns)


def _operands(
    kernel: Kernel, product: Matmul, grid: Grid, places: Place, tile: Integers, step: Integers
) -> dict[str, Integers]:
    """What each k-step reads: of a cluster's shared operand, each block asks for its part."""
    elements = np.minimum(kernel.tile_k, product.k - step * kernel.tile_k)
    # A ragged last group of weights is padded.
    stored_bits = padded(elements, kernel.group_elements) * kernel.weight_bits
    line = kernel.core.l2.line_bytes
    bytes_ = {
        "weight": np.ceil(places.weight_rows[tile] * stored_bits / 8).astype(np.int64),
        "activation": -(-places.activation_rows[tile] * elements * ELEMENT_BITS[kernel.core.dtype] // 8),
    }
    tiles = {
        "weight": places.product * grid.tall + places.weight,
        "activation": places.product * grid.wide + places.activation,
    }
    found = {"copied": bytes_["weight"] + bytes_["activation"]}
    clusters = places.cluster(kernel, grid)
    steps, rows = strides(kernel), row_strides(kernel, grid)
    for name, cluster, stride, row in zip(bytes_, clusters, steps, rows, strict=True):
        blocks, mine = cluster[tile].T
        lines = -(-bytes_[name] // line)
        first, last = mine * lines // blocks, (mine + 1) * lines // blocks
        found[f"{name}_lines"] = last - first
        found[f"{name}_at"] = tiles[name][tile] * row + step * stride + first * line
    return found


def _results(
    kernel: Kernel,
    product: Matmul,
    grid: Grid,
    first: int,
    block: Integers,
    begins: Flags,
    length: Integers,
    share: float,
) -> dict[str, Integers]:
    """Which lines of results leave the L2 in each job: a tile's at once, the tiles of a wave in turn."""
    line = kernel.core.l2.line_bytes
    blocks = np.arange(length.size)
    part, tile = np.divmod(blocks, length.size // grid.splits)
    tile = (first + tile - kernel.slots * (grid.splits == 1)) % grid.tiles
    places = Place.of(kernel, product, grid, tile)
    lines = np.ceil(places.results * kernel.out_bits * share / (8 * line)).astype(np.int64)
    begin, end = lines * part // grid.splits, lines * (part + 1) // grid.splits
    together = min(kernel.slots, length.size)
    job = np.flatnonzero(begins) + blocks % together * length // together
    found = {name: np.zeros(block.size, np.int64) for name in ("output_lines", "output_at")}
    found["output_lines"][job] = end - begin
    found["output_at"][job] = places.number(grid) * result_stride(kernel) + begin * line
    return found


def _with_sums(kernel: Kernel, grid: Grid, places: Place, columns: dict[str, np.ndarray]) -> _Columns:
    """Behind the blocks as many that add: each reads one part's sums, and sends its share of the tile."""
    ends = np.flatnonzero(columns["last"])
    blocks, tiles = ends.size, ends.size // grid.splits
    more = {name: np.zeros(blocks, column.dtype) for name, column in columns.items()}
    more["block"] = blocks + np.arange(blocks)
    more["last"] = more["adds"] = np.ones(blocks, np.bool_)
    more["copied"] = columns["sent"][ends]
    tile = np.arange(blocks) % tiles
    more["sent"] = -(-places.results[tile] * kernel.out_bits // (8 * grid.splits))
    waits = np.repeat(columns["block"].size + np.arange(blocks), grid.splits)
    others = ends[np.arange(grid.splits)[None, :] * tiles + tile[:, None]].ravel()
    return _Columns(
        after=np.stack([waits, others], axis=1),
        **{name: np.concatenate([column, more[name]]) for name, column in columns.items()},
    )
