"""A GPU's parameters, and how it turns a layer into a plan.

A job is one k-step of one thread-block tile: copy into shared memory, operand reads through the
shared-memory port, the tensor core, and after the last step the epilogue.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from accelsim.accelerators.base import LayerPlan, require
from accelsim.accelerators.products import ELEMENT_BITS, products, refuse
from accelsim.accelerators.sparse_tensor_core.boards import A100_HBM2, A100_L2
from accelsim.accelerators.sparse_tensor_core.formats import FORMATS, METADATA_BITS, RATES, Generation
from accelsim.accelerators.sparse_tensor_core.rows import padded, plan_of
from accelsim.dram import Cache, Dram
from accelsim.energy import Energy, Part
from accelsim.golden.formats import aligned_groups, nm_pattern
from accelsim.plan import Buffer, Layout, Plan, Stage
from accelsim.workload import Layer, Matmul


@dataclass(frozen=True, kw_only=True)
class SparseTensorCore:
    """Thread blocks of `generation`'s kernels on `sms` SMs.

    Tiles are weights x activations x k, `tile_k_bits` wide along k so that a row is 128 bytes at any type.
    `fill_on_port`: the copy into shared memory uses the port of the operand reads (cp.async), else it does
    not (TMA). Each of `readers_m` x `readers_n` warps (or warp groups) reads its own part of both tiles.
    `shared_port_bytes`, `shared_latency`: 128 B/clk and 29 clk, measured (arXiv 2402.13499); `mma_latency`:
    24.7 clk of m16n8k32, rounded up; `launch_seconds`: a whole 64 x 64 x 64 product, 4.0 us dense FP16 on
    A100 PCIe, 4.4 us dense INT8 on H100 PCIe (arXiv 2603.05232), taken for all boards. Not published:
    `l2_port_bytes`, an SM's bytes a clock from L2, and `blocks_limit`, the blocks whose registers fit an SM.
    """

    name: ClassVar[str] = "stc"

    sms: int = 108
    clock_hz: float = 1.41e9
    dtype: str = "fp16"
    out_dtype: str = ""
    generation: Generation = "ampere"
    tile_weights: int = 128
    tile_activations: int = 128
    tile_k_bits: int = 1024
    readers_m: int = 2
    readers_n: int = 2
    pipeline_stages: int = 3
    fill_on_port: bool = True
    shared_memory: int = 164 << 10
    shared_port_bytes: int = 128
    shared_latency: int = 29
    l2_port_bytes: int = 64
    mma_latency: int = 25
    blocks_limit: int = 2
    launch_seconds: float = 4.0e-6
    l2: Cache = A100_L2
    dram: Dram = A100_HBM2
    # TSMC N7; the voltage under load is not published. N4 is not in the table, so Hopper has the same.
    energy: Energy = field(default_factory=lambda: Energy(node_nm=7, volts=0.75))

    def __post_init__(self) -> None:
        for name in ("sms", "clock_hz", "tile_weights", "tile_activations", "readers_m", "readers_n"):
            require(getattr(self, name) > 0, name, "> 0", getattr(self, name))
        for name in ("pipeline_stages", "shared_port_bytes", "l2_port_bytes", "blocks_limit"):
            require(getattr(self, name) > 0, name, "> 0", getattr(self, name))
        for name in ("shared_latency", "mma_latency", "launch_seconds"):
            require(getattr(self, name) >= 0, name, ">= 0", getattr(self, name))
        require(self.generation in RATES, "generation", f"one of {', '.join(RATES)}", self.generation)
        known = RATES[self.generation]
        require(self.dtype in known, "dtype", f"one of {', '.join(known)} on {self.generation}", self.dtype)
        outputs = ("", *ELEMENT_BITS)
        require(self.out_dtype in outputs, "out_dtype", f"one of {', '.join(ELEMENT_BITS)}", self.out_dtype)
        steps = self.tile_k_bits // ELEMENT_BITS[self.dtype]
        require(steps >= 8 and steps % 8 == 0, "tile_k_bits", "8, 16, 24 ... elements wide", self.tile_k_bits)
        block = self.pipeline_stages * self.stage_bytes(sparse=False)
        require(
            block <= self.shared_memory,
            "shared_memory",
            f">= the {block} bytes of one block",
            self.shared_memory,
        )

    @property
    def cache(self) -> Cache:
        """The L2."""
        return self.l2

    @property
    def tile_k(self) -> int:
        """Dense elements along k in one step."""
        return self.tile_k_bits // ELEMENT_BITS[self.dtype]

    def weight_bits(self, sparse: bool) -> float:
        """Bits for each weight of the dense matrix: its value, or half a value and metadata if sparse."""
        bits = ELEMENT_BITS[self.dtype]
        return bits / 2 + METADATA_BITS[self.dtype] if sparse else bits

    def weight_bytes(self, rows: int, sparse: bool) -> float:
        """Bytes of `rows` weights over one k-step."""
        return rows * self.tile_k * self.weight_bits(sparse) / 8

    def group_elements(self, sparse: bool) -> int:
        """Weights along k that share their metadata; 1 if dense."""
        pair = 2 if self.dtype == "int4" else 1
        return FORMATS[self.dtype][1] * pair if sparse else 1

    def activation_bytes(self, rows: int) -> float:
        """Bytes of `rows` activations over one k-step."""
        return rows * self.tile_k * ELEMENT_BITS[self.dtype] / 8

    def stage_bytes(self, sparse: bool) -> int:
        """Shared memory that one k-step takes."""
        return round(
            self.weight_bytes(self.tile_weights, sparse) + self.activation_bytes(self.tile_activations)
        )

    def mma_cycles(self, sparse: bool) -> int:
        """Tensor-core clocks of one k-step: half as many products if every second one is skipped."""
        products_ = self.tile_weights * self.tile_activations * self.tile_k // (2 if sparse else 1)
        return -(-products_ // RATES[self.generation][self.dtype])

    def port_cycles(self, sparse: bool) -> int:
        """Shared-memory clocks of one k-step: every reader reads its rows of both tiles, plus the fill."""
        weights = self.weight_bytes(self.tile_weights, sparse) * self.readers_n
        activations = self.activation_bytes(self.tile_activations) * self.readers_m
        fill = self.stage_bytes(sparse) if self.fill_on_port else 0
        return -int(-(weights + activations + fill) // self.shared_port_bytes)

    def blocks_per_sm(self, sparse: bool) -> int:
        """Thread blocks that fit an SM's shared memory, at most `blocks_limit` (registers)."""
        return min(self.blocks_limit, self.shared_memory // (self.pipeline_stages * self.stage_bytes(sparse)))

    def parts(self) -> tuple[Part, ...]:
        """Tensor cores, shared memories and the slices of the L2; nothing else of the chip."""
        rate = RATES[self.generation][self.dtype]
        sums = "int32" if self.dtype.startswith("int") else "fp32"
        cost, l2 = self.energy, self.l2
        slice_cost = cost.sram(l2.bytes // self.dram.channels, 8 * l2.line_bytes)
        return (
            Part(name="multipliers", group="logic", cost=cost.multiply(self.dtype), count=self.sms * rate),
            Part(name="adders", group="logic", cost=cost.add(sums), count=self.sms * rate),
            Part(
                name="shared memory",
                group="sram",
                cost=cost.sram(self.shared_memory, 8 * self.shared_port_bytes),
                count=self.sms,
            ),
            Part(name="L2", group="sram", cost=slice_cost, count=self.dram.channels),
        )

    def _events(self, plan: Plan, sparse: bool, macs: int) -> dict[str, float]:
        """Both sides of the shared memory, and every line that is asked of the L2 or filled into it."""
        fill = 0 if self.fill_on_port else self.stage_bytes(sparse) / self.shared_port_bytes
        return {
            "multipliers": macs,
            "adders": macs,
            "shared memory": plan.jobs * (self.port_cycles(sparse) + fill),
            "L2": plan.bursts(write=False) + plan.bursts(write=True),
        }

    def layout(self, sparse: bool) -> Layout:
        """Slots are lanes, SMs are sites: what one SM's blocks share is the copy, the port and the core."""
        return Layout(
            lanes=self.sms * self.blocks_per_sm(sparse),
            sites=self.sms,
            stages=(
                Stage(name="copy", scope="site", port="l2"),
                Stage(name="operands", scope="site"),
                Stage(name="tensor core", scope="site"),
                Stage(name="epilogue", scope="site", port="l2 write", write=True),
            ),
            buffers=(
                Buffer(
                    name="shared memory",
                    capacity=self.pipeline_stages * self.stage_bytes(sparse),
                    take="copy",
                    give="tensor core",
                ),
            ),
        )

    def refuse(self, layer: Layer) -> str:
        """Everything that is a matrix product runs."""
        return refuse(layer)

    def plan(self, layer: Layer) -> LayerPlan:
        """One kernel for each matrix product (attention: two, batched over heads)."""
        kernels = products(layer)
        sparse, note = self.is_sparse(kernels[0])
        plan = plan_of(self, kernels, sparse)
        kept, group = FORMATS[self.dtype] if sparse else (1, 1)
        lengths = [padded(p.k, self.group_elements(sparse)) for p in kernels]
        dense = sum(p.count * p.m * p.n * p.k for p in kernels)
        done = sum(
            p.count * p.m * p.n * min(p.k, k // group * kept) for p, k in zip(kernels, lengths, strict=True)
        )
        lanes = plan.layout.lanes
        tiles = int(plan.group[-1]) + 1
        return LayerPlan(
            plan=plan,
            macs_dense=dense,
            macs_done=done,
            launches=len(kernels),
            notes=(note,) if note else (),
            facts={
                "pattern": f"{kept}:{group}" if sparse else "dense",
                "tiles": tiles,
                "waves": tiles / lanes,
                "blocks_per_sm": lanes // self.sms,
                "tile_cycles_mma": self.mma_cycles(sparse),
                "tile_cycles_port": self.port_cycles(sparse),
            },
            events=self._events(plan, sparse, done),
        )

    def is_sparse(self, product: Matmul) -> tuple[bool, str]:
        """Does the mask fit the device's format? Else why the product runs dense."""
        if product.mask is None:
            return False, ""
        kept = product.mask.unpack()
        if kept.all():
            return False, "all weights are kept: dense mode"
        most, group = FORMATS[self.dtype]
        if self.dtype == "int4":
            kept = np.asarray(aligned_groups(kept, 2).any(axis=-1))
        if nm_pattern(kept, [group])[group] <= most:
            return True, ""
        rule = "pairs in " * (self.dtype == "int4") + f"{most}:{group}"
        zeros = 1 - product.mask.kept / math.prod(product.mask.shape)
        return False, f"{zeros:.1%} of the weights are zero, but not {rule}: dense cycles"

    def assumptions(self) -> tuple[str, ...]:
        """What the model assumes, for the report."""
        tile = f"{self.tile_weights} x {self.tile_activations} x {self.tile_k}"
        return (
            f"one tile shape, {tile} (weights x activations x k), and no split along k",
            f"the weights are the sparse operand, {METADATA_BITS[self.dtype]:g} bit of metadata for each",
            "operands lie packed by tile; the L2 is one level of LRU lines in front of each channel",
            "attention runs as batched QK^T and PV; softmax, norms and activations are not counted",
            f"seconds include {self.launch_seconds * 1e6:g} us for each kernel; the clock never drops",
            "L2 lines go round channels, pseudo-channels and bank groups: NVIDIA's order is not published",
            *self.energy.assumptions(),
            "energy of a GPU: tensor cores, shared memories and L2 only, no registers, schedulers or wires",
        )
