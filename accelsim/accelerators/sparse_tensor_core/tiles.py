"""Which tile a product gets: those that libraries are built of, and the one with the shortest estimate.

The shapes are those of CUTLASS's kernels for each generation, and narrow ones for few tokens. The estimate
only chooses; time is simulated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from accelsim.accelerators.products import ELEMENT_BITS
from accelsim.accelerators.sparse_tensor_core.events import powered_clocks
from accelsim.accelerators.sparse_tensor_core.grids import grid_of
from accelsim.accelerators.sparse_tensor_core.kernels import Kernel, Tile
from accelsim.workload import Matmul

if TYPE_CHECKING:
    from accelsim.accelerators.sparse_tensor_core.machine import SparseTensorCore

# Weights, activations, readers along both; 64 x 64 to a warp where it fits.
AMPERE = (
    (256, 128, 4, 2),
    (128, 256, 2, 4),
    (128, 128, 2, 2),
    (256, 64, 4, 1),
    (64, 256, 1, 4),
    (128, 64, 2, 2),
    (64, 128, 2, 2),
    (64, 64, 2, 2),
    (128, 32, 4, 1),
    (64, 32, 2, 1),
    (128, 16, 4, 1),
    (64, 16, 2, 1),
)
HOPPER = (
    (128, 256, 2, 1),
    (256, 128, 2, 1),
    (128, 128, 2, 1),
    (64, 256, 1, 1),
    (64, 128, 1, 1),
    (128, 64, 2, 1),
    (64, 64, 1, 1),
    (64, 32, 1, 1),
    (64, 16, 1, 1),
)
# Dense cuBLAS kernels of Hopper (nvjet_*_192x192, _168x128, _144x128, _128x80 ... in public traces).
FINE = tuple(
    (weights, activations, weights // groups_of, 1)
    for weights, groups_of in ((256, 128), (192, 64), (128, 64), (64, 64))
    for activations in range(256, 0, -16)
)
SPLITS = (1, 2, 3, 4, 6, 8, 12, 16)
DEEPEST = 10  # stages


def choose(core: SparseTensorCore, products: tuple[Matmul, ...], sparse: bool) -> Kernel:
    """The kernel for all products of a layer: the fixed tile, or the fastest by estimate."""
    core = core.of_type(products[0].dtype)
    if core.tiles == "fixed":
        kernels = list(_split(core.kernel(sparse=sparse), core, products))
    else:
        kernels = list(_candidates(core, products, sparse))
    return min(kernels, key=lambda kernel: estimate(kernel, products))


def estimate(kernel: Kernel, products: tuple[Matmul, ...]) -> float:
    """Clocks of all products: the busiest unit of an SM with start and end of its tiles, DRAM, and power."""
    core, tile = kernel.core, kernel.tile
    grids = [grid_of(kernel, product) for product in products]
    steps = max(grid.block_steps for grid in grids)
    is_split = any(grid.splits > 1 for grid in grids)
    busiest = -(-sum(grid.blocks for grid in grids) // core.sms)
    together = min(busiest, kernel.blocks_per_sm)
    latency = (core.l2.hit_latency + core.l2.miss_latency) * core.clock_hz
    paced = max(kernel.mma_cycles, kernel.port_cycles, kernel.copy_cycles)
    # A ring of few stages waits for its memory.
    step = max(paced, (latency + paced) / tile.stages / together)
    edge = latency + paced + core.shared_latency + core.mma_latency
    out_bytes = tile.weights * tile.activations * (32 if is_split else kernel.out_bits) / 8
    end = out_bytes / min(core.l2_port_bytes, core.dram.peak_bandwidth / core.clock_hz / core.sms)
    clocks = busiest * (steps * step + end) + -(-busiest // together) * edge
    if is_split:
        clocks += 2 * latency + busiest * end
    bytes_a_clock = core.dram.peak_bandwidth / core.clock_hz
    least_bytes = _least_bytes(kernel, products)
    powered = powered_clocks(kernel, products, least_bytes)
    return max(clocks, least_bytes / bytes_a_clock + edge, powered)


def _least_bytes(kernel: Kernel, products: tuple[Matmul, ...]) -> float:
    """Each operand once, or for each wave if the L2 does not hold a wave's; partial sums twice."""
    bits = ELEMENT_BITS[kernel.core.dtype]
    total = 0.0
    for p in products:
        operands = p.n * p.k * kernel.weight_bits + p.m * p.k * bits
        grid = grid_of(kernel, p)
        partial = 64 * grid.splits * p.m * p.n if grid.splits > 1 else 0
        a_wave = kernel.wave_bytes(grid.tall, grid.wide) * grid.deep
        waves = grid.tall * grid.wide / kernel.slots if a_wave > kernel.core.l2.bytes else 0.0
        total += p.count * max(operands / 8, waves * a_wave)
        total += p.count * (p.m * p.n * kernel.out_bits + partial) / 8
    return total


def _candidates(core: SparseTensorCore, products: tuple[Matmul, ...], sparse: bool) -> Iterator[Kernel]:
    """Every shape that fits, the fixed one first."""
    first = core.kernel(sparse=sparse)
    yield from _split(first, core, products)
    room = core.pipeline_stages * core.kernel(sparse=False).stage_bytes
    for weights, activations, readers_m, readers_n in _shapes(core, first):
        for k_bits in (first.tile.k_bits, first.tile.k_bits // 2):
            shape = Tile(
                weights=weights,
                activations=activations,
                readers_m=readers_m,
                readers_n=readers_n,
                k_bits=k_bits,
                stages=first.tile.stages,
            )
            kernel = Kernel(core=core, tile=_deeper(core, shape, sparse, room), sparse=sparse)
            if kernel.tile_k % 8 == 0 and kernel.blocks_per_sm and not kernel.spills:
                yield from _split(kernel, core, products)


def _shapes(core: SparseTensorCore, first: Kernel) -> Iterator[tuple[int, int, int, int]]:
    """Those of the library that has the kernel."""
    if not first.by_groups:
        yield from AMPERE
        return
    yield from HOPPER
    if core.dense_tiles == "fine" and not first.sparse and core.dtype != "int8":
        yield from FINE


def _deeper(core: SparseTensorCore, tile: Tile, sparse: bool, room: int) -> Tile:
    """As many stages as fit the bytes of the fixed tile, at least as many as that has."""
    bytes_ = Kernel(core=core, tile=tile, sparse=sparse).stage_bytes
    return replace(tile, stages=max(tile.stages, min(DEEPEST, room // bytes_)))


def _split(kernel: Kernel, core: SparseTensorCore, products: tuple[Matmul, ...]) -> Iterator[Kernel]:
    """The kernel, and with k cut in parts while all parts run at once."""
    yield kernel
    steps = -(-products[0].k // kernel.tile_k)
    for splits in SPLITS[1:]:
        cut = replace(kernel, splits=splits)
        blocks = sum(grid_of(cut, product).blocks for product in products)
        if splits <= min(core.most_splits, steps // 2) and blocks <= kernel.slots:
            yield cut
