"""A GPU's parameters, and how it turns a layer into a plan.

A job is one k-step of one thread-block tile: copy into shared memory, operand reads through the
shared-memory port, the tensor core, and after the last step the epilogue.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

from accelsim.accelerators.base import LayerPlan, Timed, require
from accelsim.accelerators.products import ELEMENT_BITS, products, refuse
from accelsim.accelerators.sparse_tensor_core import verdicts
from accelsim.accelerators.sparse_tensor_core.boards import A100_HBM2, A100_L2
from accelsim.accelerators.sparse_tensor_core.costs import A100_LAUNCH, UNLIMITED, Launch, Power
from accelsim.accelerators.sparse_tensor_core.grids import padded
from accelsim.accelerators.sparse_tensor_core.kernels import Kernel, Tile
from accelsim.accelerators.sparse_tensor_core.sampling import samples
from accelsim.accelerators.sparse_tensor_core.tiles import choose
from accelsim.dram import Cache, Dram
from accelsim.energy import Energy, Part
from accelsim.golden.two_four import FORMATS, full_group
from accelsim.units.tensor_core import RATES, SHARED_PORT_BYTES, Generation, Source, check_dtype
from accelsim.workload import Layer, Matmul

Tiles = Literal["search", "fixed"]
Misfits = Literal["dense", "refuse"]


@dataclass(frozen=True, kw_only=True)
class SparseTensorCore:
    """Thread blocks of `generation`'s kernels on `sms` SMs.

    `tiles`: `search` takes the best of the shapes that libraries are built of, `fixed` the one given here:
    tiles are weights x activations x k, `tile_k_bits` wide along k, read by `readers_m` x `readers_n` warps
    (or warp groups), `pipeline_stages` k-steps in shared memory. Up to `most_splits` parts of k.
    A `cluster` of blocks shares its larger operand: each asks for a part and sends it to all (multicast).
    `fill_on_port`: the copy into shared memory uses the port of the operand reads (cp.async), else it does
    not (TMA). `weights_from`: where a wgmma finds the weights. `shared_port_bytes`, `shared_latency`: 128
    B/clk and 29 clk, measured (arXiv 2402.13499); `mma_latency`: 24.7 clk of m16n8k32, rounded up. Not
    published: `l2_port_bytes`, an SM's bytes a clock from L2; `spare_registers` of a thread beside sums and
    operands; `swizzle`, the tiles of activations that go side by side (0: a wave as square as it can be);
    `row_stagger`, lines between rows of tiles, odd so that rows of a power of two do not meet in few banks.
    `misfits`: whether a mask that the format cannot hold runs dense, or stops the run with its place.
    Products of more than `most_bursts` lines are sampled (0: every line).
    """

    name: ClassVar[str] = "stc"

    sms: int = 108
    clock_hz: float = 1.41e9
    dtype: str = "fp16"
    out_dtype: str = ""
    generation: Generation = "ampere"
    misfits: Misfits = "dense"
    tiles: Tiles = "search"
    tile_weights: int = 128
    tile_activations: int = 128
    tile_k_bits: int = 1024
    readers_m: int = 2
    readers_n: int = 2
    pipeline_stages: int = 3
    most_splits: int = 16
    swizzle: int = 0
    row_stagger: int = 5
    cluster: int = 1
    fill_on_port: bool = True
    weights_from: Source = "shared"
    shared_memory: int = 164 << 10
    shared_port_bytes: int = SHARED_PORT_BYTES
    shared_latency: int = 29
    registers: int = 1 << 16
    spare_registers: int = 24
    l2_port_bytes: int = 64
    mma_latency: int = 25
    blocks_limit: int = 32
    most_bursts: int = 1 << 23
    launch: Launch = A100_LAUNCH
    power: Power = UNLIMITED
    l2: Cache = A100_L2
    dram: Dram = A100_HBM2
    # TSMC N7; the voltage under load is not published. N4 is not in the table, so Hopper has the same.
    energy: Energy = field(default_factory=lambda: Energy(node_nm=7, volts=0.75))

    def __post_init__(self) -> None:
        for name in ("sms", "clock_hz", "tile_weights", "tile_activations", "readers_m", "readers_n"):
            require(getattr(self, name) > 0, name, "> 0", getattr(self, name))
        for name in ("pipeline_stages", "shared_port_bytes", "l2_port_bytes", "blocks_limit"):
            require(getattr(self, name) > 0, name, "> 0", getattr(self, name))
        for name in ("most_splits", "registers", "cluster"):
            require(getattr(self, name) > 0, name, "> 0", getattr(self, name))
        for name in (
            "shared_latency",
            "mma_latency",
            "spare_registers",
            "swizzle",
            "row_stagger",
            "most_bursts",
        ):
            require(getattr(self, name) >= 0, name, ">= 0", getattr(self, name))
        for name, kind in (("misfits", Misfits), ("tiles", Tiles), ("weights_from", Source)):
            known = get_args(kind)
            require(getattr(self, name) in known, name, f"one of {', '.join(known)}", getattr(self, name))
        check_dtype(self.generation, self.dtype)
        outputs = ("", *ELEMENT_BITS)
        require(self.out_dtype in outputs, "out_dtype", f"one of {', '.join(ELEMENT_BITS)}", self.out_dtype)
        steps = self.tile_k_bits // ELEMENT_BITS[self.dtype]
        require(steps >= 8 and steps % 8 == 0, "tile_k_bits", "8, 16, 24 ... elements wide", self.tile_k_bits)
        self._require_block()

    def _require_block(self) -> None:
        """One block of the fixed tile must fit an SM."""
        dense = self.kernel(sparse=False)
        block = dense.block_bytes
        held = self.shared_memory
        require(block <= held, "shared_memory", f">= the {block} bytes of one block", held)
        needed = min(self.kernel(sparse=sparse).registers * dense.threads for sparse in (False, True))
        require(dense.blocks_per_sm > 0, "registers", f">= the {needed} of one block", self.registers)

    @property
    def tile(self) -> Tile:
        """The fixed tile."""
        return Tile(
            weights=self.tile_weights,
            activations=self.tile_activations,
            readers_m=self.readers_m,
            readers_n=self.readers_n,
            k_bits=self.tile_k_bits,
            stages=self.pipeline_stages,
        )

    def kernel(self, *, sparse: bool, tile: Tile | None = None) -> Kernel:
        """A tile on this GPU: the fixed one, or another."""
        return Kernel(core=self, tile=tile or self.tile, sparse=sparse)

    @property
    def cache(self) -> Cache:
        """The L2."""
        return self.l2

    @property
    def peak_ops_per_second(self) -> float:
        """Multiplications and additions that are executed, dense or of stored weights."""
        return 2 * self.sms * RATES[self.generation][self.dtype] * self.clock_hz

    @property
    def launch_seconds(self) -> float:
        """Of a dense kernel; each layer states its own."""
        return self.launch.seconds(self.dtype, False)

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

    def refuse(self, layer: Layer) -> str:
        """Everything that is a matrix product runs."""
        return refuse(layer)

    def plan(self, layer: Layer) -> LayerPlan:
        """One kernel for each matrix product (attention: two, batched over heads)."""
        kernels = products(layer)
        sparse, note = self.is_sparse(kernels[0])
        return self.plan_products(kernels, sparse, (note,) if note else ())

    def plan_products(
        self, kernels: tuple[Matmul, ...], sparse: bool, notes: tuple[str, ...] = ()
    ) -> LayerPlan:
        """Products one after the other, all dense or all 2:4, whatever their masks say."""
        kernel = choose(self, kernels, sparse)
        found = samples(kernel, kernels, self.most_bursts)
        self._require_room(kernel, kernels)
        dense = sum(p.count * p.m * p.n * p.k for p in kernels)
        group = kernel.group_elements
        kept = group // 2 if sparse else 1
        lengths = [padded(p.k, group) for p in kernels]
        done = sum(
            p.count * p.m * p.n * min(p.k, k // group * kept) for p, k in zip(kernels, lengths, strict=True)
        )
        steps, lines = verdicts.work(kernel, kernels)
        fill = 0 if self.fill_on_port else kernel.stage_bytes / self.shared_port_bytes
        return LayerPlan(
            plan=found[0].plan,
            samples=() if found[0].weight == 1 else found,
            macs_dense=dense,
            macs_done=done,
            launches=len(kernels),
            launch_seconds=len(kernels) * self.launch.seconds(self.dtype, sparse),
            power=self.power.limit(self.dtype),
            notes=notes,
            facts=verdicts.facts(kernel, kernels),
            events={
                "multipliers": done,
                "adders": done,
                "shared memory": steps * (kernel.port_cycles + fill),
                "L2": lines,
            },
        )

    def _require_room(self, kernel: Kernel, kernels: tuple[Matmul, ...]) -> None:
        """Operands and results fit the board's memory."""
        bits = sum(
            p.count * (p.n * p.k * kernel.weight_bits + p.m * p.k * ELEMENT_BITS[self.dtype])
            + p.count * p.m * p.n * kernel.out_bits
            for p in kernels
        )
        if bits / 8 > self.dram.capacity_bytes:
            raise ValueError(
                f"operands must fit the {self.dram.capacity_bytes >> 20} MiB of {self.dram.device}, "
                f"not {int(bits / 8) >> 20} MiB"
            )

    def is_sparse(self, product: Matmul) -> tuple[bool, str]:
        """Does the mask fit the device's format? Else why the product runs dense."""
        if product.mask is None:
            return False, ""
        kept = product.mask.unpack()
        if kept.all():
            return False, "all weights are kept: dense mode"
        form = FORMATS[self.dtype]
        full = full_group(kept, form)
        if not full:
            return True, ""
        if self.misfits == "refuse":
            raise ValueError(f"{form.name} weights must be {form.pattern}, not {full}")
        zeros = 1 - product.mask.kept / math.prod(product.mask.shape)
        return False, f"{zeros:.1%} of the weights are zero, but not {form.pattern}: dense cycles"

    def verdict(self, layer: Timed, dense: Timed | None) -> str:
        """Why the layer is as fast as it is, in words with figures."""
        return verdicts.verdict(self, layer, dense)

    def assumptions(self) -> tuple[str, ...]:
        """What the model assumes, for the report."""
        tile = f"{self.tile_weights} x {self.tile_activations} x {self.kernel(sparse=False).tile_k}"
        bits = FORMATS[self.dtype].metadata_bits
        return (
            f"tiles of CUTLASS's kernels, the best by estimate; {tile} among them"
            if self.tiles == "search"
            else f"one tile shape, {tile} (weights x activations x k)",
            f"the weights are the sparse operand, {bits:g} bit of metadata for each",
            f"rows of packed tiles lie {self.row_stagger} lines apart: no hash of banks is published",
            "the L2 is one level of LRU lines in front of each channel; results leave it a wave later",
            "attention runs as batched QK^T and PV; softmax, norms and activations are not counted",
            *self.launch.assumptions(self.dtype),
            *self.power.assumptions(self.dtype),
            "L2 lines go round channels, pseudo-channels and bank groups: NVIDIA's order is not published",
            *self.energy.assumptions(),
            "energy of a GPU: tensor cores, shared memories and L2 only, no registers, schedulers or wires",
        )
