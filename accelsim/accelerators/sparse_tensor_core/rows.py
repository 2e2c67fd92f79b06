"""A kernel as rows: every k-step of every thread-block tile, with its bytes, addresses and clocks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from accelsim.accelerators.base import check_pieces
from accelsim.accelerators.products import ELEMENT_BITS
from accelsim.accelerators.sparse_tensor_core.formats import OUTPUTS
from accelsim.plan import Integers, Plan
from accelsim.workload import Matmul

if TYPE_CHECKING:
    from accelsim.accelerators.sparse_tensor_core.machine import SparseTensorCore

Length = TypeVar("Length", int, Integers)


def plan_of(core: SparseTensorCore, kernels: tuple[Matmul, ...], sparse: bool) -> Plan:
    """Every k-step of every tile, tile after tile, weights' tiles first; a tile is a group."""
    steps = [_steps(core, kernel, sparse) for kernel in kernels]
    sizes = [step["first"].size for step in steps]
    plan = Plan(layout=core.layout(sparse), jobs=sum(sizes))
    job = np.arange(plan.jobs)
    column = {name: np.concatenate([step[name] for step in steps]) for name in steps[0]}
    plan.group[:] = np.cumsum(column["first"]) - 1
    copied = column["weight_bytes"] + column["activation_bytes"]
    plan.busy[:, 0] = -(-copied // core.l2_port_bytes)
    plan.busy[:, 1] = core.port_cycles(sparse)
    plan.busy[:, 2] = core.mma_cycles(sparse)
    plan.busy[:, 3] = -(-column["output_bytes"] // core.l2_port_bytes)
    plan.whole[:, [1, 3]] = True
    plan.lag[:, 1] = core.shared_latency
    plan.drain[:, 2] = core.mma_latency
    plan.skip[:, 3] = ~column["last"]
    plan.take[:] = plan.give[:] = core.stage_bytes(sparse)
    # Every operand of every kernel has its own part of memory, one behind the other.
    kernel, line, address = np.repeat(np.arange(len(sizes)), sizes), core.l2.line_bytes, 0
    for stage, name in (("copy", "weight"), ("copy", "activation"), ("epilogue", "output")):
        ends = [int((step[f"{name}_at"] + step[f"{name}_bytes"]).max()) for step in steps]
        room = [aligned(end, line) for end in ends]
        begin = address + np.concatenate([[0], np.cumsum(room)])[kernel] + column[f"{name}_at"]
        plan.add_runs(stage, job, begin // line * line, -(-column[f"{name}_bytes"] // line), line)
        address += sum(room)
    return plan


def _steps(core: SparseTensorCore, kernel: Matmul, sparse: bool) -> dict[str, np.ndarray]:
    """Columns over (product, activation tile, weight tile, k-step): bytes and addresses of the operands."""
    tall, wide, deep = (
        -(-size // tile)
        for size, tile in (
            (kernel.n, core.tile_weights),
            (kernel.m, core.tile_activations),
            (kernel.k, core.tile_k),
        )
    )
    shape = (kernel.count, wide, tall, deep)
    check_pieces(math.prod(shape))
    product, a, w, step = (grid.ravel() for grid in np.indices(shape))
    rows_w = np.minimum(core.tile_weights, kernel.n - w * core.tile_weights)
    rows_a = np.minimum(core.tile_activations, kernel.m - a * core.tile_activations)
    elements = np.minimum(core.tile_k, kernel.k - step * core.tile_k)
    # A ragged last group of weights is padded.
    stored_bits = padded(elements, core.group_elements(sparse)) * core.weight_bits(sparse)
    out_bits = ELEMENT_BITS[core.out_dtype or OUTPUTS[core.dtype]]
    last = step == deep - 1
    line = core.l2.line_bytes
    weight_stride = aligned(core.weight_bytes(core.tile_weights, sparse), line)
    activation_stride = aligned(core.activation_bytes(core.tile_activations), line)
    output_stride = aligned(core.tile_weights * core.tile_activations * out_bits / 8, line)
    return {
        "first": step == 0,
        "last": last,
        "weight_bytes": np.ceil(rows_w * stored_bits / 8).astype(np.int64),
        "activation_bytes": -(-rows_a * elements * ELEMENT_BITS[core.dtype] // 8),
        "output_bytes": np.where(last, -(-rows_w * rows_a * out_bits // 8), 0),
        "weight_at": ((product * tall + w) * deep + step) * weight_stride,
        "activation_at": ((product * wide + a) * deep + step) * activation_stride,
        "output_at": ((product * wide + a) * tall + w) * output_stride,
    }


def padded(length: Length, group: int) -> Length:
    """The next multiple of `group`."""
    return -(-length // group) * group


def aligned(size: float, line: int) -> int:
    """The next multiple of a line."""
    return -int(-size // line) * line
