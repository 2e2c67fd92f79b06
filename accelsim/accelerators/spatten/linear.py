"""FC and FFN layers on the attention machine's two arrays (SpAtten-e2e, section 5).

A job is one row of activations times one tile of weights: as many outputs as half of the K store and half
of the V store hold, while the other halves fill. Weights are streamed once; a row of activations waits in the
registers of Q, so that it comes again with every tile where there are several rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accelsim.accelerators.base import LayerPlan, check_pieces
from accelsim.accelerators.spatten.parameters import Parameters
from accelsim.accelerators.spatten.topk import row_lines
from accelsim.plan import Buffer, Integers, Layout, Plan, Stage
from accelsim.workload import Matmul

ARRAYS = 2  # QxK and PxV


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """How an n x k operand is cut: a *group* of outputs shares a line of an array, or `lines` of them.

    `group`: outputs that an array sums up at once; `lines`: SRAM lines of a group, more than one where k
    exceeds the array; `outputs`: of each tile, in order.
    """

    group: int
    lines: int
    outputs: Integers

    @property
    def busy(self) -> Integers:
        """Cycles of a row of activations in each tile: groups go to the two arrays in turn."""
        return -(-row_groups(self.outputs, self.group) // ARRAYS) * self.lines


def row_groups(outputs: Integers, group: int) -> Integers:
    """Groups of each tile."""
    return np.asarray(-(-outputs // group), np.int64)


def lines_of_output(machine: Parameters, k: int) -> int:
    """SRAM lines of the weights of one output, or of a group."""
    return row_lines(k, machine.multipliers)


def cut(machine: Parameters, layer: Matmul) -> Tiles:
    """Tiles of a layer that fits the stores."""
    lines = lines_of_output(machine, layer.k)
    group = machine.scores_per_cycle(layer.k) if lines == 1 else 1
    most = ARRAYS * (machine.lines // 2 // lines) * group
    check_pieces(row_lines(layer.n, most) * layer.m * layer.count)
    outputs = np.full(row_lines(layer.n, most), most, np.int64)
    outputs[-1] = layer.n - most * (outputs.size - 1)
    return Tiles(group=group, lines=lines, outputs=outputs)


def _layout(machine: Parameters) -> Layout:
    return Layout(
        stages=(
            Stage(name="fetch_weights", unit="fetcher", port="hbm", priority=1),
            Stage(name="fetch_row", unit="fetcher", port="hbm", priority=0),
            Stage(name="product"),
            Stage(name="write", port="write", write=True),
        ),
        buffers=(
            Buffer(name="weights", capacity=ARRAYS * machine.lines, take="fetch_weights", give="product"),
            # One row is used while the next comes.
            Buffer(name="rows", capacity=2, take="fetch_row", give="product"),
        ),
    )


def plan_linear(machine: Parameters, layer: Matmul) -> LayerPlan:
    """Product by product, tile by tile, row by row."""
    tiles = cut(machine, layer)
    count, m = layer.count, layer.m
    jobs = count * tiles.outputs.size * m
    product, tile, row = (index.ravel() for index in np.indices((count, tiles.outputs.size, m)))
    plan = Plan(layout=_layout(machine), jobs=jobs)
    first, last = row == 0, row == m - 1
    plan.skip[:, plan.layout.stage("fetch_weights")] = ~first
    # A single row stays in its registers for all tiles.
    fetches = (tile == 0) | (m > 1)
    plan.skip[:, plan.layout.stage("fetch_row")] = ~fetches
    plan.busy[:, plan.layout.stage("product")] = tiles.busy[tile]
    plan.drain[:, plan.layout.stage("product")] = max(machine.qk_latency, machine.pv_latency)
    plan.whole[:] = True
    stored = row_groups(tiles.outputs, tiles.group)[tile] * tiles.lines
    weights, rows = plan.layout.buffer("weights"), plan.layout.buffer("rows")
    plan.take[:, weights], plan.give[:, weights] = stored * first, stored * last
    plan.take[:, rows] = fetches
    plan.give[:, rows] = (tile == tiles.outputs.size - 1) | (m > 1)
    _add_traffic(machine, layer, tiles, plan, (product, tile, row))
    return _layer_plan(machine, layer, tiles, plan)


def _add_traffic(
    machine: Parameters,
    layer: Matmul,
    tiles: Tiles,
    plan: Plan,
    place: tuple[Integers, Integers, Integers],
) -> None:
    """Weights packed tile by tile, then rows of activations, then outputs, each in whole bursts."""
    product, tile, row = place
    burst = machine.dram.burst_bytes
    jobs = np.arange(plan.jobs)
    bits = machine.weight_bits if layer.weights else machine.word_bits
    weights = -(-tiles.outputs * layer.k * bits // (8 * burst))
    before = np.cumsum(weights) - weights
    begins = product * int(weights.sum()) + before[tile]
    loads = row == 0
    plan.add_runs("fetch_weights", jobs[loads], begins[loads] * burst, weights[tile][loads], burst)
    base = layer.count * int(weights.sum()) * burst
    held = row_lines(layer.k * machine.word_bits, 8 * burst)
    asks = ~plan.skip[:, plan.layout.stage("fetch_row")]
    addresses = base + (product * layer.m + row) * held * burst
    plan.add_runs("fetch_row", jobs[asks], addresses[asks], held, burst)
    base += layer.count * layer.m * held * burst
    written = -(-tiles.outputs * machine.word_bits // (8 * burst))
    before = np.cumsum(written) - written
    addresses = base + ((product * layer.m + row) * int(written.sum()) + before[tile]) * burst
    plan.add_runs("write", jobs, addresses, written[tile], burst)


def _layer_plan(machine: Parameters, layer: Matmul, tiles: Tiles, plan: Plan) -> LayerPlan:
    dense = layer.dense()
    cycles = int(plan.busy.sum())
    filled = int(plan.take[:, plan.layout.buffer("weights")].sum()) / ARRAYS
    notes = []
    if layer.zeros:
        share = layer.zeros / (layer.zeros + layer.kept)
        notes.append(f"{share:.1%} of the weights are zero: dense cycles")
    busy = layer.macs / (ARRAYS * machine.multipliers * cycles)
    events = {
        f"{array} {part}": layer.macs / ARRAYS
        for array in ("QxK", "PxV")
        for part in ("multipliers", "adders")
    }
    return LayerPlan(
        plan=plan,
        macs_dense=dense.macs,
        macs_done=layer.macs,
        launches=1,
        notes=tuple(notes),
        facts={"tiles": int(tiles.outputs.size), "lanes_idle": 1 - busy},
        events=events | dict.fromkeys(("K store", "V store"), filled + cycles),
    )
