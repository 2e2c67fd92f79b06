"""What a kernel does, counted: products, registers, shared memory and L2, for its energy and its power."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from accelsim.accelerators.products import ELEMENT_BITS
from accelsim.accelerators.sparse_tensor_core.grids import grid_of, padded
from accelsim.energy import energy_pj
from accelsim.workload import Matmul

if TYPE_CHECKING:
    from accelsim.accelerators.sparse_tensor_core.kernels import Kernel

PARTIAL_BITS = 32


def events(kernel: Kernel, products: tuple[Matmul, ...]) -> dict[str, float]:
    """How often each of the machine's parts does what its energy is counted for."""
    core, (steps, lines) = kernel.core, work(kernel, products)
    fill = 0 if kernel.fills_on_port else kernel.stage_bytes / core.shared_port_bytes
    done = macs_done(kernel, products)
    return {
        "multipliers": done,
        "adders": done,
        "registers": steps * kernel.register_accesses,
        "shared memory": steps * (kernel.port_cycles + fill),
        "L2": lines,
    }


def macs_done(kernel: Kernel, products: tuple[Matmul, ...]) -> int:
    """Multiply-accumulates; of a ragged last group of weights, what is stored."""
    group = kernel.group_elements
    kept = group // 2 if kernel.sparse else 1
    return sum(p.count * p.m * p.n * min(p.k, padded(p.k, group) // group * kept) for p in products)


def work(kernel: Kernel, products: tuple[Matmul, ...]) -> tuple[int, int]:
    """K-steps of all blocks, and lines that are asked of the L2 or written through it."""
    line, steps = kernel.core.l2.line_bytes, 0
    lines = sum(asked_lines(kernel, products))
    for product in products:
        grid = grid_of(kernel, product)
        steps += grid.tiles * grid.deep
        if grid.splits > 1:
            result = kernel.tile.weights * kernel.tile.activations
            lines += 2 * grid.tiles * grid.splits * -(-result * PARTIAL_BITS // (8 * line))
    return steps, lines


def asked_lines(kernel: Kernel, products: tuple[Matmul, ...]) -> tuple[int, int]:
    """Lines of operands that are read, by one block of a cluster each, and lines of results."""
    line, read, written = kernel.core.l2.line_bytes, 0, 0
    for product in products:
        grid = grid_of(kernel, product)
        tall = _pieces(product.n, kernel.tile.weights)
        wide = _pieces(product.m, kernel.tile.activations)
        deep = _pieces(product.k, kernel.tile_k)
        weights, activations = kernel.shares
        for elements, steps in deep.items():
            stored = padded(elements, kernel.group_elements) * kernel.weight_bits
            plain = elements * ELEMENT_BITS[kernel.core.dtype]
            down = sum(count * _lines(rows * stored, line) for rows, count in tall.items())
            across = sum(count * _lines(rows * plain, line) for rows, count in wide.items())
            here = down * -(-grid.wide // weights) + across * -(-grid.tall // activations)
            read += grid.copies * steps * here
        written += grid.copies * sum(
            some * others * _lines(rows * columns * kernel.out_bits, line)
            for rows, some in tall.items()
            for columns, others in wide.items()
        )
    return read, written


def _lines(bits: float, line: int) -> int:
    return -(-math.ceil(bits / 8) // line)


def _pieces(length: int, most: int) -> Counter[int]:
    """Lengths of the pieces of at most this length, and how many there are of each."""
    whole, rest = divmod(length, most)
    return Counter({most: whole}) + Counter({rest: 1 if rest else 0})


def powered_clocks(kernel: Kernel, products: tuple[Matmul, ...], memory_bytes: float) -> float:
    """The least clocks under the board's limit of power; 0 without one."""
    core = kernel.core
    limit = core.power.limit(core.dtype)
    if limit is None:
        return 0.0
    chip_pj = sum(energy_pj(core.parts(), events(kernel, products)).values())
    return limit.seconds(chip_pj, 0.0, memory_bytes) * core.clock_hz
