"""One kernel on one SM: a thread block's tile, what a k-step of it takes, and how many blocks fit.

Sources: CUTLASS's tiles as PyTorch's semi-structured kernels use them; NVIDIA A100 and H100 white papers
(shared memory, registers). Dense and 2:4 go through the same formulae.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from accelsim.accelerators.products import ELEMENT_BITS
from accelsim.accelerators.sparse_tensor_core.costs import NARROW
from accelsim.accelerators.sparse_tensor_core.outputs import output_type
from accelsim.golden.two_four import FORMATS, Format
from accelsim.units.tensor_core import TENSOR_CORES, Instruction
from accelsim.units.tensor_core import Tile as Step

if TYPE_CHECKING:
    from accelsim.accelerators.sparse_tensor_core.machine import SparseTensorCore

WARP = 32
WARP_GROUP = 128
MOST_REGISTERS = 255  # of a thread
REGISTER_UNIT = 8  # registers of a thread are handed out so many at a time
WGMMA_ROWS, WGMMA_COLUMNS = 64, 256  # the largest m and n of one instruction
MMA_ROWS, MMA_COLUMNS = 16, 8
PRODUCER_REGISTERS = 40  # of a thread that fills the ring; it gives the rest away (CUTLASS, sm90)
FRAGMENT_BYTES = 32  # of a row of values along k that one instruction of a warp multiplies


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A block's part of the result, weights x activations, and its steps of `k_bits` along k.

    Each of `readers_m` x `readers_n` warps (Hopper: warp groups) reads its own part of both operands.
    `stages` k-steps lie in shared memory at once.
    """

    weights: int
    activations: int
    readers_m: int
    readers_n: int
    k_bits: int
    stages: int

    def __str__(self) -> str:
        return f"{self.weights}x{self.activations}"


AMPERE_TILE = Tile(weights=128, activations=128, readers_m=2, readers_n=2, k_bits=1024, stages=3)
"""PyTorch's semi-structured kernels of 16 bits have this one."""


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """A tile on a GPU, dense or 2:4, with the reduction over k cut in `splits` parts."""

    core: SparseTensorCore
    tile: Tile
    sparse: bool
    splits: int = 1

    @property
    def by_groups(self) -> bool:
        """Whether warp groups multiply (wgmma, operands in shared memory), not single warps (mma)."""
        return self.core.generation == "hopper" and not (self.sparse and self.core.sparse_kernels == "mma")

    @property
    def is_foreign(self) -> bool:
        """Whether it is Ampere's on Hopper."""
        return self.core.generation == "hopper" and not self.by_groups

    @property
    def tile_k(self) -> int:
        """Dense elements along k in one step."""
        return self.tile.k_bits // self._format.element_bits

    @property
    def _format(self) -> Format:
        return FORMATS[self.core.dtype]

    @property
    def out_bits(self) -> int:
        """Of an element of the result."""
        return ELEMENT_BITS[self.core.out_dtype or output_type(self.core.dtype, self.sparse)]

    @property
    def weight_bits(self) -> float:
        """Bits for each weight of the dense matrix: its value, or half a value and metadata if sparse."""
        bits = self._format.element_bits
        return bits / 2 + self._format.metadata_bits if self.sparse else bits

    @property
    def group_elements(self) -> int:
        """Weights along k that share their metadata; 1 if dense."""
        return self._format.group if self.sparse else 1

    @cached_property
    def step(self) -> Step:
        """One k-step, as the warps read it; a wgmma reads 64 rows of weights and 256 activations at most."""
        tile, readers_m, readers_n = self.tile, self.tile.readers_m, self.tile.readers_n
        if self.by_groups:
            readers_m = -(-tile.weights // WGMMA_ROWS)
            readers_n = -(-tile.activations // WGMMA_COLUMNS)
        return Step(
            dtype=self.core.dtype,
            m=tile.weights,
            n=tile.activations,
            k=self.tile_k,
            sparse=self.sparse,
            warps_m=readers_m,
            warps_n=readers_n,
        )

    @property
    def metadata_share(self) -> float:
        """Of the bytes of a k-step."""
        return self.step.metadata_bytes / self.stage_bytes

    @property
    def stage_bytes(self) -> int:
        """Shared memory that one k-step takes."""
        return self.step.fill_bytes

    @property
    def block_bytes(self) -> int:
        """Shared memory of a block."""
        return self.tile.stages * self.stage_bytes

    @cached_property
    def instruction(self) -> Instruction:
        """The tensor core's, in its long form; a wgmma as wide as the tile."""
        depth = 8 * FRAGMENT_BYTES // self._format.element_bits * (2 if self.sparse else 1)
        made = Instruction(
            generation=self.core.generation, dtype=self.core.dtype, k=depth, sparse=self.sparse
        )
        if not self.by_groups:
            return made
        columns = min(self.tile.activations, WGMMA_COLUMNS)
        return replace(made, kind="wgmma", m=WGMMA_ROWS, n=columns, a_source=self.core.weights_from)

    @property
    def instructions(self) -> int:
        """In one k-step."""
        one, tile = self.instruction, self.tile
        across = -(-tile.weights // one.m) * -(-tile.activations // one.n)
        return across * -(-self.tile_k // one.k)

    @cached_property
    def mma_cycles(self) -> int:
        """Tensor-core clocks of one k-step. A wgmma takes as long as its reads if that is longer."""
        if self.core.generation == "ampere":
            return self.step.mma_clocks("ampere")
        side_by_side = 1 if self.by_groups else TENSOR_CORES
        return math.ceil(self.instructions * self.instruction.issue_interval() / side_by_side)

    @cached_property
    def register_accesses(self) -> int:
        """Warp registers (32 lanes of 32 bits) that a k-step's instructions read and write, and their loads.

        Sums are read and written by each instruction, so that 2:4 halves them; B is not halved.
        """
        one, bits = self.instruction, self._format.element_bits
        sums = 2 * one.m * one.n * 32
        weights = 0 if one.a_source == "shared" else one.m * 8 * FRAGMENT_BYTES
        activations = 0 if self.by_groups else one.n * one.k * bits
        metadata = one.m // MMA_ROWS * WARP * 32 if self.sparse else 0
        loaded = 0 if self.by_groups else self.step.read_bytes // (4 * WARP)
        each = (sums + weights + activations + metadata) / (32 * WARP)
        return round(self.instructions * each) + loaded

    @cached_property
    def port_cycles(self) -> int:
        """Shared-memory clocks of one k-step: all reads of both operands, and the fill if it competes."""
        core, step = self.core, self.step
        if self.by_groups and core.weights_from == "registers":
            read = step.warps_m * step.b_bytes
            return -(-(read + core.fill_on_port * step.fill_bytes) // core.shared_port_bytes)
        return step.port_clocks(self.fills_on_port, core.shared_port_bytes)

    @property
    def fills_on_port(self) -> bool:
        """Whether copies into shared memory take its port (cp.async), which TMA's do not."""
        return self.core.fill_on_port or self.is_foreign

    @property
    def shares(self) -> tuple[int, int]:
        """Blocks of a cluster that share weights, and activations: one each, or the larger operand."""
        step, blocks = self.step, self.core.cluster if self.by_groups else 1
        return (1, blocks) if step.b_bytes >= step.a_bytes else (blocks, 1)

    @property
    def asked_bytes(self) -> tuple[int, int]:
        """Weights and activations that a block asks the L2 for in a k-step; others send the rest."""
        weights, activations = self.shares
        return -(-self.step.a_bytes // weights), -(-self.step.b_bytes // activations)

    @property
    def copy_cycles(self) -> float:
        """Clocks in which the L2 sends a k-step to each SM, if all SMs ask at once."""
        core = self.core
        asked = sum(self.asked_bytes) * core.clock_hz * core.sms / core.l2.bandwidth
        return max(self.stage_bytes / core.l2_port_bytes, asked)

    @property
    def sums(self) -> int:
        """Registers of a thread that multiplies for its part of the result."""
        lanes = self.tile.readers_m * self.tile.readers_n * (WARP_GROUP if self.by_groups else WARP)
        return self.tile.weights * self.tile.activations // lanes

    @property
    def registers(self) -> int:
        """Of a thread: sums, an instruction's operands twice (mma alone), and some for the rest."""
        tile = self.tile
        rows = tile.weights // tile.readers_m + tile.activations // tile.readers_n * (2 if self.sparse else 1)
        operands = 0 if self.by_groups else 2 * rows * FRAGMENT_BYTES // (4 * WARP)
        return min(MOST_REGISTERS, self.sums + operands + self.core.spare_registers)

    @property
    def spills(self) -> bool:
        """Whether the sums alone are more than a thread can hold."""
        return self.sums + self.core.spare_registers > MOST_REGISTERS

    @property
    def block_registers(self) -> int:
        """Of a block; on Hopper one more warp group fills the ring."""
        readers = self.tile.readers_m * self.tile.readers_n
        wide = -(-self.registers // REGISTER_UNIT) * REGISTER_UNIT
        if self.by_groups:
            return WARP_GROUP * (readers * wide + PRODUCER_REGISTERS)
        return WARP * readers * wide

    @property
    def blocks_per_sm(self) -> int:
        """Blocks that fit the shared memory and the registers of an SM; 0 if not even one does."""
        core = self.core
        fit = min(core.shared_memory // self.block_bytes, core.registers // self.block_registers)
        return min(core.blocks_limit, fit)

    @property
    def limit_of_blocks(self) -> str:
        """What keeps a further block off the SM."""
        counts = {
            "shared memory": self.core.shared_memory // self.block_bytes,
            "registers": self.core.registers // self.block_registers,
            "blocks_limit": self.core.blocks_limit,
        }
        return min(counts, key=counts.__getitem__)

    @property
    def panel(self) -> int:
        """Tiles of activations that go side by side: `swizzle`, or a wave as square as it can be."""
        core = self.core
        if self.sparse and core.dtype not in NARROW and core.wide_sparse_swizzle:
            return core.wide_sparse_swizzle
        square = math.sqrt(self.slots * self.tile.weights / self.tile.activations)
        return core.swizzle or max(1, round(square))

    def wave_bytes(self, tall: int, wide: int) -> int:
        """Operands of one k-step of a wave, of a result of tall x wide tiles, each once."""
        columns = min(self.panel, wide)
        rows = min(tall, -(-self.slots // columns))
        return columns * self.step.b_bytes + rows * self.step.a_bytes

    @property
    def slots(self) -> int:
        """Blocks that run at once."""
        return self.core.sms * self.blocks_per_sm
