"""A machine of one's own, which skips unstructured zeros as none of accelsim's does.

The weights of an output that are left lie in memory as pairs of value and position in the row. A pair is
multiplied with one row of activations at a time; those stay on chip. docs/add_an_accelerator.md goes
through this file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from accelsim.accelerators.base import LayerPlan, check_pieces, require
from accelsim.dram import DDR4_2400, Cache, Dram
from accelsim.energy import Energy, Part
from accelsim.plan import Buffer, Integers, Layout, Plan, Stage
from accelsim.workload import Layer, Matmul


@dataclass(frozen=True, kw_only=True)
class SparseRows:
    """`lanes` multipliers; a job is `outputs` outputs. `pair_bytes`: a value with its position in the row.

    `weight_buffer_bytes`: pairs on chip. `adder_latency`: cycles from a product to the sum.
    """

    name: ClassVar[str] = "sparse_rows"
    cache: ClassVar[Cache | None] = None
    launch_seconds: ClassVar[float] = 0.0

    lanes: int = 64
    outputs: int = 16
    pair_bytes: int = 4
    weight_buffer_bytes: int = 65536
    adder_latency: int = 4
    clock_hz: float = 1e9
    dram: Dram = DDR4_2400
    energy: Energy = field(default_factory=Energy)

    def __post_init__(self) -> None:
        for name in ("lanes", "outputs", "pair_bytes", "weight_buffer_bytes", "adder_latency"):
            require(getattr(self, name) >= 1, name, ">= 1", getattr(self, name))

    def refuse(self, layer: Layer) -> str:
        """Why this machine cannot run the layer; empty if it can."""
        if not isinstance(layer, Matmul):
            return f"products only, not {layer.op}"
        if layer.count > 1:
            return "one product a layer, no grouped or batched ones"
        if self.outputs * layer.k * self.pair_bytes > self.weight_buffer_bytes:
            return f"{self.outputs} rows of {layer.k} weights must fit weight_buffer_bytes"
        return ""

    def plan(self, layer: Layer) -> LayerPlan:
        """The layer on this machine; ValueError for one that it refuses."""
        if reason := self.refuse(layer):
            raise ValueError(f"layer {layer.name!r}: {reason}")
        assert isinstance(layer, Matmul)
        pairs = self._pairs(layer)
        check_pieces(pairs.size)
        plan = Plan(layout=self._layout(), jobs=pairs.size)
        # 1. Time. A clock multiplies `lanes` pairs with one activation row; the sums then leave at once.
        products = layer.m * -(-pairs // self.lanes)
        plan.busy[:, 1] = np.maximum(products, 1)
        plan.whole[:, 1] = True
        plan.drain[:, 1] = self.adder_latency
        # 2. Room. Pairs are in the buffer from the moment they are asked for until they are multiplied.
        plan.take[:, 0] = plan.give[:, 0] = pairs * self.pair_bytes
        # 3. Memory. Pairs lie one behind the other, activations and outputs behind them.
        burst = self.dram.burst_bytes
        ends = np.cumsum(pairs * self.pair_bytes)
        first, last = (ends - pairs * self.pair_bytes) // burst, -(-ends // burst)
        plan.add_runs("fetch", np.arange(pairs.size), first * burst, last - first, burst, operand="weights")
        start = int(last[-1]) * burst
        activations = -(-2 * layer.m * layer.k // burst)
        plan.add_runs("fetch", 0, start, activations, burst, operand="activations")
        written = -(-2 * layer.m * self.outputs // burst)
        places = start + (activations + np.arange(pairs.size) * written) * burst
        plan.add_runs("store", np.arange(pairs.size), places, written, burst, operand="outputs")
        done = layer.m * int(pairs.sum())
        events = {"multipliers": float(done), "adders": float(done), "pairs": float(pairs.sum())}
        return LayerPlan(plan=plan, macs_dense=layer.dense().macs, macs_done=done, events=events)

    def parts(self) -> tuple[Part, ...]:
        """What the machine is made of, as far as its energy and area are counted."""
        cost = self.energy
        return (
            Part(name="multipliers", group="logic", cost=cost.multiply("fp16"), count=self.lanes),
            Part(name="adders", group="logic", cost=cost.add("fp32"), count=self.lanes),
            Part(name="pairs", group="sram", cost=cost.sram(self.weight_buffer_bytes, 8 * self.pair_bytes)),
        )

    def assumptions(self) -> tuple[str, ...]:
        """Lines for the report."""
        return (
            f"a job is {self.outputs} outputs, whose pairs are there before it is multiplied (outputs)",
            "activations are on chip once they were read, and every lane reads any of them in every cycle",
            *self.energy.assumptions(),
        )

    def _pairs(self, layer: Matmul) -> Integers:
        """Weights that are left, for each job."""
        if layer.mask is None:
            kept = np.full(layer.n, layer.k)
        else:
            kept = layer.mask.unpack().reshape(layer.n, layer.k).sum(axis=1)
        padded = np.zeros(-(-layer.n // self.outputs) * self.outputs, np.int64)
        padded[: layer.n] = kept
        return padded.reshape(-1, self.outputs).sum(axis=1)

    def _layout(self) -> Layout:
        return Layout(
            stages=(
                Stage(name="fetch", port="memory"),
                Stage(name="multiply"),
                Stage(name="store", port="memory", write=True),
            ),
            buffers=(Buffer(name="pairs", capacity=self.weight_buffer_bytes, take="fetch", give="multiply"),),
        )
