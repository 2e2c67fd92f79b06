"""The 2:4 sparse tensor core of a GPU: one GEMM as thread-block tiles on the slots of its SMs.

The sparse operand is the weight (n x k); activations (m x k) are the dense one. A job is one k-step of
one tile: copy into shared memory, operand reads through the shared-memory port, the tensor core, and
after the last step the epilogue. Sources: NVIDIA A100 and H100 white papers (rates, sizes), CUTLASS's
default tiles as used by PyTorch's semi-structured kernels, PTX ISA 9.7.14 (formats and metadata).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, TypeVar

import numpy as np

from accelsim.accelerators.base import LayerPlan, check_pieces, require
from accelsim.accelerators.products import ELEMENT_BITS, products, refuse
from accelsim.dram import DEVICES, Cache, Dram
from accelsim.energy import Energy, Part
from accelsim.golden.formats import aligned_groups, nm_pattern
from accelsim.plan import Buffer, Integers, Layout, Plan, Stage
from accelsim.workload import Layer, Matmul

# (N, M) along k; int4 keeps or drops aligned pairs, so its groups are counted in pairs (PTX ISA 9.7.14).
FORMATS = {"fp16": (2, 4), "bf16": (2, 4), "int8": (2, 4), "fp8": (2, 4), "tf32": (1, 2), "int4": (2, 4)}
METADATA_BITS = {"fp16": 1.0, "bf16": 1.0, "int8": 1.0, "fp8": 1.0, "tf32": 2.0, "int4": 0.5}
OUTPUTS = {"fp16": "fp16", "bf16": "bf16", "int8": "int32", "fp8": "fp16", "tf32": "fp32", "int4": "int32"}

# Dense multiply-adds a clock and SM (white papers; wgmma m64n256k16 in 128 clocks, arXiv 2402.13499).
RATES = {
    "ampere": {"fp16": 1024, "bf16": 1024, "tf32": 512, "int8": 2048, "int4": 4096},
    "hopper": {"fp16": 2048, "bf16": 2048, "tf32": 1024, "int8": 4096, "fp8": 4096},
}

Generation = Literal["ampere", "hopper"]

Length = TypeVar("Length", int, Integers)


def _gpu(device: str, clock_ps: int, channels: int) -> Dram:
    """A GPU's stacks: lines of the L2 lie in turn in the channels, in their pseudo-channels and in the bank
    groups of these, so that a stream keeps all pins busy. Order and depth of the queues are choices.
    """
    return replace(
        DEVICES[device],
        clock_ps=clock_ps,
        channels=channels,
        interleave=128,
        mapping="RoBaCoBgRaCh",
        queue=64,
    )


# 5 stacks of 8 channels at 2.43 Gb/s a pin: 1555 GB/s.
A100_HBM2 = _gpu("HBM2-2400", 823, 40)

# 466 clk to DRAM, less the 30 clocks of the device itself (activate, read, data).
A100_L2 = Cache(
    bytes=40 << 20,
    line_bytes=128,
    ways=16,
    bandwidth=5120 * 1.41e9,
    hit_latency=185e-9,
    miss_latency=305e-9,
    source="A100 white paper: 40 MB, 5120 B/clk; 261.5 and 466 clk of 1.41 GHz (arXiv 2402.13499)",
)


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
        plan = self._rows(kernels, sparse)
        kept, group = FORMATS[self.dtype] if sparse else (1, 1)
        padded = [_padded(p.k, self.group_elements(sparse)) for p in kernels]
        dense = sum(p.count * p.m * p.n * p.k for p in kernels)
        done = sum(
            p.count * p.m * p.n * min(p.k, k // group * kept) for p, k in zip(kernels, padded, strict=True)
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

    def _rows(self, kernels: tuple[Matmul, ...], sparse: bool) -> Plan:
        """Every k-step of every tile, tile after tile, weights' tiles first; a tile is a group."""
        steps = [_steps(self, kernel, sparse) for kernel in kernels]
        sizes = [step["first"].size for step in steps]
        plan = Plan(layout=self.layout(sparse), jobs=sum(sizes))
        job = np.arange(plan.jobs)
        column = {name: np.concatenate([step[name] for step in steps]) for name in steps[0]}
        plan.group[:] = np.cumsum(column["first"]) - 1
        copied = column["weight_bytes"] + column["activation_bytes"]
        plan.busy[:, 0] = -(-copied // self.l2_port_bytes)
        plan.busy[:, 1] = self.port_cycles(sparse)
        plan.busy[:, 2] = self.mma_cycles(sparse)
        plan.busy[:, 3] = -(-column["output_bytes"] // self.l2_port_bytes)
        plan.whole[:, [1, 3]] = True
        plan.lag[:, 1] = self.shared_latency
        plan.drain[:, 2] = self.mma_latency
        plan.skip[:, 3] = ~column["last"]
        plan.take[:] = plan.give[:] = self.stage_bytes(sparse)
        # Every operand of every kernel has its own part of memory, one behind the other.
        kernel, line, address = np.repeat(np.arange(len(sizes)), sizes), self.l2.line_bytes, 0
        for stage, name in (("copy", "weight"), ("copy", "activation"), ("epilogue", "output")):
            ends = [int((step[f"{name}_at"] + step[f"{name}_bytes"]).max()) for step in steps]
            room = [_aligned(end, line) for end in ends]
            begin = address + np.concatenate([[0], np.cumsum(room)])[kernel] + column[f"{name}_at"]
            plan.add_runs(stage, job, begin // line * line, -(-column[f"{name}_bytes"] // line), line)
            address += sum(room)
        return plan

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
    stored_bits = _padded(elements, core.group_elements(sparse)) * core.weight_bits(sparse)
    out_bits = ELEMENT_BITS[core.out_dtype or OUTPUTS[core.dtype]]
    last = step == deep - 1
    line = core.l2.line_bytes
    weight_stride = _aligned(core.weight_bytes(core.tile_weights, sparse), line)
    activation_stride = _aligned(core.activation_bytes(core.tile_activations), line)
    output_stride = _aligned(core.tile_weights * core.tile_activations * out_bits / 8, line)
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


def _padded(length: Length, group: int) -> Length:
    """The next multiple of `group`."""
    return -(-length // group) * group


def _aligned(size: float, line: int) -> int:
    return -int(-size // line) * line


A100 = SparseTensorCore()

# HBM2E, 5 stacks: 1935 GB/s.
A100_PCIE = replace(A100, dram=_gpu("HBM2E-3200", 661, 40))

# HBM3, 5 stacks of 16 channels: 3.35 TB/s.
H100_HBM3 = _gpu("HBM3-5200", 764, 80)

H100 = SparseTensorCore(
    generation="hopper",
    sms=132,
    clock_hz=1.83e9,
    tile_activations=256,
    readers_m=2,
    readers_n=1,
    pipeline_stages=4,
    fill_on_port=False,
    shared_memory=227 << 10,
    blocks_limit=1,
    launch_seconds=4.4e-6,
    l2=Cache(
        bytes=50 << 20,
        line_bytes=128,
        ways=16,
        bandwidth=3942 * 1.83e9,
        hit_latency=144e-9,
        miss_latency=239e-9,
        source="H100 white paper: 50 MB; 3942 B/clk, 263 and 479 clk (arXiv 2402.13499, H800)",
    ),
    dram=H100_HBM3,
)

# HBM2E, 5 stacks: 2040 GB/s.
H100_PCIE = replace(
    H100,
    sms=114,
    clock_hz=1.62e9,
    l2=replace(H100.l2, bandwidth=3942 * 1.62e9),
    dram=replace(A100_PCIE.dram, clock_ps=627),
)

# HBM3E, 6 stacks of 16 channels: 4.8 TB/s.
H200 = replace(H100, dram=_gpu("HBM3-6400", 640, 96))

TINY = SparseTensorCore(
    sms=2,
    tile_weights=32,
    tile_activations=32,
    tile_k_bits=512,
    readers_m=1,
    readers_n=1,
    l2=replace(A100_L2, bytes=1 << 16, bandwidth=256e9),
    dram=replace(A100.dram, channels=2),
)

PRESETS = {
    "a100": A100,
    "a100_pcie": A100_PCIE,
    "h100": H100,
    "h100_pcie": H100_PCIE,
    "h200": H200,
    "tiny": TINY,
}
