"""A GPU's parameters, and how it turns a layer into a plan.

A job is one k-step of one thread-block tile: copy into shared memory, operand reads through the
shared-memory port, the tensor core, and after the last step the epilogue.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, get_args

from accelsim.accelerators.base import LayerPlan, Timed, require
from accelsim.accelerators.products import ELEMENT_BITS, products, refuse
from accelsim.accelerators.sparse_tensor_core import verdicts
from accelsim.accelerators.sparse_tensor_core.boards import A100_HBM2, A100_L2
from accelsim.accelerators.sparse_tensor_core.costs import A100_LAUNCH, NARROW, UNLIMITED, Launch, Power
from accelsim.accelerators.sparse_tensor_core.events import asked_lines, events, macs_done
from accelsim.accelerators.sparse_tensor_core.kernels import AMPERE_TILE, Kernel, Tile
from accelsim.accelerators.sparse_tensor_core.sampling import samples
from accelsim.accelerators.sparse_tensor_core.tiles import choose
from accelsim.dram import Cache, Dram
from accelsim.energy import Energy, Part
from accelsim.golden.two_four import FORMATS, full_group
from accelsim.units.tensor_core import RATES, SHARED_PORT_BYTES, Generation, Source, check_dtype
from accelsim.workload import Layer, Matmul

Tiles = Literal["search", "fixed"]
Misfits = Literal["dense", "refuse"]
DenseTiles = Literal["coarse", "fine"]
SparseKernels = Literal["native", "mma"]
Held = Literal["nothing", "operands"]
REGISTER_BANK, REGISTER_BITS = 32 << 10, 1024
FP32_RUNS_AS = "fp16"


@dataclass(frozen=True, kw_only=True)
class SparseTensorCore:
    """Thread blocks of `generation`'s kernels on `sms` SMs.

    `dtype`: of all operands; empty: each layer's own, FP32 ones in FP16.
    `tiles`: `search` takes the best of the shapes that libraries are built of, `fixed` the one given here:
    tiles are weights x activations x k, `tile_k_bits` wide along k, read by `readers_m` x `readers_n` warps
    (or warp groups), `pipeline_stages` k-steps in shared memory. Up to `most_splits` parts of k.
    A `cluster` of blocks shares its larger operand: each asks for a part and sends it to all (multicast).
    `fill_on_port`: the copy into shared memory uses the port of the operand reads (cp.async), else it does
    not (TMA). `weights_from`: where a wgmma finds the weights. `shared_port_bytes`, `shared_latency`: 128
    B/clk and 29 clk, measured (arXiv 2402.13499); `mma_latency`: 24.7 clk of m16n8k32, rounded up. Not
    published: `l2_port_bytes`, an SM's bytes a clock from L2; `spare_registers` of a thread beside sums and
    operands; `swizzle`, the tiles of activations that go side by side (0: a wave as square as it can be),
    and `wide_sparse_swizzle` where 2:4 of 16 and more bits has another (1: down all weights, tile by tile);
    `row_stagger`, lines between rows of tiles, odd so that rows of a power of two do not meet in few banks.
    `dense_tiles`: `fine` has dense kernels of every multiple of 16 activations, as cuBLAS's for Hopper, for
    all types but INT8. `sparse_kernels`: `mma` has Ampere's for 2:4 on Hopper, too, as PyTorch's CUTLASS
    kernels are; `native` those of the generation.
    `l2_holds`: what a layer finds in the L2: nothing, or its own operands, as far as they fit, as when one
    product is timed over and over.
    `misfits`: whether a mask that the format cannot hold runs dense, or stops the run with its place.
    Products of more than `most_bursts` lines are sampled (0: every line).
    """

    name: ClassVar[str] = "stc"

    sms: int = 108
    clock_hz: float = 1.41e9
    dtype: str = ""
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
    wide_sparse_swizzle: int = 0
    dense_tiles: DenseTiles = "coarse"
    sparse_kernels: SparseKernels = "native"
    l2_holds: Held = "nothing"
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
            "wide_sparse_swizzle",
            "row_stagger",
            "most_bursts",
        ):
            require(getattr(self, name) >= 0, name, ">= 0", getattr(self, name))
        words = {"misfits": Misfits, "tiles": Tiles, "weights_from": Source}
        words |= {"dense_tiles": DenseTiles, "sparse_kernels": SparseKernels, "l2_holds": Held}
        for name, kind in words.items():
            known = get_args(kind)
            require(getattr(self, name) in known, name, f"one of {', '.join(known)}", getattr(self, name))
        check_dtype(self.generation, self.dtype or FP32_RUNS_AS)
        outputs = ("", *ELEMENT_BITS)
        require(self.out_dtype in outputs, "out_dtype", f"one of {', '.join(ELEMENT_BITS)}", self.out_dtype)
        steps = self.tile_k_bits // ELEMENT_BITS[self.dtype or FP32_RUNS_AS]
        require(steps >= 8 and steps % 8 == 0, "tile_k_bits", "8, 16, 24 ... elements wide", self.tile_k_bits)
        self.of_type()._require_block()

    def _require_block(self) -> None:
        """One block of the fixed tile must fit an SM."""
        dense = self.kernel(sparse=False)
        block = dense.block_bytes
        held = self.shared_memory
        require(block <= held, "shared_memory", f">= the {block} bytes of one block", held)
        needed = min(self.kernel(sparse=sparse).block_registers for sparse in (False, True))
        require(dense.blocks_per_sm > 0, "registers", f">= the {needed} of one block", self.registers)

    def for_layer(self, layer: Layer) -> SparseTensorCore:
        """The machine in the layer's type, unless it has one of its own."""
        return self.of_type(getattr(layer, "dtype", ""))

    def of_type(self, dtype: str = "") -> SparseTensorCore:
        """The machine with its own type, or else with this one. ValueError if it does not multiply it."""
        if self.dtype:
            return self
        return replace(self, dtype=FP32_RUNS_AS if dtype in ("", "fp32") else dtype)

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

    def kernel(self, *, sparse: bool) -> Kernel:
        """The fixed tile on this GPU; Ampere's default where its kernels are used on Hopper."""
        made = Kernel(core=self.of_type(), tile=self.tile, sparse=sparse)
        return replace(made, tile=AMPERE_TILE) if made.is_foreign else made

    @property
    def cache(self) -> Cache:
        """The L2."""
        return self.l2

    @property
    def peak_ops_per_second(self) -> float:
        """Multiplications and additions that are executed, dense or of stored weights."""
        return 2 * self.sms * RATES[self.generation][self.of_type().dtype] * self.clock_hz

    @property
    def launch_seconds(self) -> float:
        """Of a dense kernel; each layer states its own."""
        return self.launch.seconds(self.of_type().dtype, False)

    def parts(self) -> tuple[Part, ...]:
        """Tensor cores, registers, shared memories and the slices of the L2; nothing else of the chip."""
        dtype = self.of_type().dtype
        rate = RATES[self.generation][dtype]
        sums = "int32" if dtype.startswith("int") else "fp32"
        cost, l2 = self.energy, self.l2
        slice_cost = cost.sram(l2.bytes // self.dram.channels, 8 * l2.line_bytes)
        return (
            Part(name="multipliers", group="logic", cost=cost.multiply(dtype), count=self.sms * rate),
            Part(name="adders", group="logic", cost=cost.add(sums), count=self.sms * rate),
            Part(
                name="registers",
                group="sram",
                cost=cost.sram(REGISTER_BANK, REGISTER_BITS),
                count=self.sms * 4 * self.registers // REGISTER_BANK,
            ),
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
        if not self.dtype:
            return self.for_layer(layer).plan(layer)
        kernels = products(layer)
        sparse, note = self.is_sparse(kernels[0])
        return self.plan_products(kernels, sparse, (note,) if note else ())

    def plan_products(
        self, kernels: tuple[Matmul, ...], sparse: bool, notes: tuple[str, ...] = ()
    ) -> LayerPlan:
        """Products one after the other, all dense or all 2:4, whatever their masks say."""
        if not self.dtype:
            return self.of_type(kernels[0].dtype).plan_products(kernels, sparse, notes)
        kernel = choose(self, kernels, sparse)
        found = samples(kernel, kernels, self.most_bursts)
        self._require_room(kernel, kernels)
        dense = sum(p.dense().macs for p in kernels)
        return LayerPlan(
            plan=found[0].plan,
            samples=() if len(found) == 1 and found[0].weight == 1 else found,
            held=found[0].held,
            asked=asked_lines(kernel, kernels),
            macs_dense=dense,
            macs_done=macs_done(kernel, kernels),
            launches=len(kernels),
            launch_seconds=len(kernels) * self.launch.seconds(self.dtype, sparse),
            power=self.power.limit(self.dtype),
            notes=notes,
            facts=verdicts.facts(kernel, kernels),
            events=events(kernel, kernels),
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
        if not self.dtype:
            return self.of_type(product.dtype).is_sparse(product)
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
        types = (self.dtype,) if self.dtype else tuple(RATES[self.generation])
        tile = f"{self.tile_weights} x {self.tile_activations} x {self.kernel(sparse=False).tile_k}"
        bits = ", ".join(f"{FORMATS[dtype].metadata_bits:g} ({dtype})" for dtype in types)
        own = f"operands are {self.dtype}" if self.dtype else "each layer runs in its own type, FP32 in FP16"
        costs = [cost.assumptions(dtype) for dtype in types for cost in (self.launch, self.power)]
        return (
            f"{own} (dtype)",
            f"tiles of CUTLASS's kernels, the best by estimate; {tile} among them"
            if self.tiles == "search"
            else f"one tile shape, {tile} (weights x activations x k)",
            f"the weights are the sparse operand, metadata for each in bits: {bits}",
            f"rows of packed tiles lie {self.row_stagger} lines apart: no hash of banks is published",
            "the L2 is one level of LRU lines in front of each channel; results leave it a wave later",
            "attention runs as batched QK^T and PV; softmax, norms and activations are not counted",
            *self._kernels(types),
            *dict.fromkeys(line for lines in costs for line in lines),
            "L2 lines go round channels, pseudo-channels and bank groups: NVIDIA's order is not published",
            *self.energy.assumptions(),
            "energy of a GPU: tensor cores, their registers, shared memories and L2, no schedulers or wires",
        )

    def _kernels(self, types: tuple[str, ...]) -> Iterator[str]:
        """Which kernels differ between dense and 2:4."""
        if self.dense_tiles == "fine" and set(types) - {"int8"}:
            yield "dense tiles in steps of 16 activations (cuBLAS), of INT8 and 2:4 CUTLASS's sizes alone"
        if self.wide_sparse_swizzle and set(types) - set(NARROW):
            yield "2:4 kernels of 16 bits go down all weights tile by tile (chosen from measured layers)"
        if self.sparse_kernels == "mma":
            yield "2:4 runs on mma.sp of Ampere's kernels: 0.63 of dense peak, times 1.42 (measured)"
