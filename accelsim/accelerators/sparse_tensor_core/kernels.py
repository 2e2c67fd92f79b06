"""One kernel on one SM: a thread block's tile, what a k-step of it takes, and how many blocks fit.

Sources: CUTLASS's tiles as PyTorch's semi-structured kernels use them; NVIDIA A100 and H100 white papers
(shared memory, registers). Dense and 2:4 go through the same formulae.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from accelsim.accelerators.products import ELEMENT_BITS
from accelsim.accelerators.sparse_tensor_core.outputs import output_type
from accelsim.golden.two_four import FORMATS, Format
from accelsim.units.tensor_core import Instruction
from accelsim.units.tensor_core import Tile as Step

if TYPE_CHECKING:
    from accelsim.accelerators.sparse_tensor_core.machine import SparseTensorCore

WARP = 32
WARP_GROUP = 128
MOST_REGISTERS = 255  # of a thread
REGISTER_UNIT = 8  # registers of a thread are handed out so many at a time
WGMMA_ROWS, WGMMA_COLUMNS = 64, 256  # the largest m and n of one instruction
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


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """A tile on a GPU, dense or 2:4, with the reduction over k cut in `splits` parts."""

    core: SparseTensorCore
    tile: Tile
    sparse: bool
    splits: int = 1

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
        if self.core.generation == "hopper":
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
    def mma_cycles(self) -> int:
        """Tensor-core clocks of one k-step. A wgmma takes as long as its reads if that is longer."""
        if self.core.generation == "ampere":
            return self.step.mma_clocks("ampere")
        step, n = self.step, min(self.tile.activations, WGMMA_COLUMNS)
        bits = self._format.element_bits
        one = Instruction(
            generation="hopper",
            kind="wgmma",
            dtype=self.core.dtype,
            m=WGMMA_ROWS,
            n=n,
            k=256 // bits * (2 if self.sparse else 1),
            sparse=self.sparse,
            a_source=self.core.weights_from,
        )
        count = step.warps_m * step.warps_n * -(-self.tile_k // one.k)
        return math.ceil(count * one.issue_interval())

    @cached_property
    def port_cycles(self) -> int:
        """Shared-memory clocks of one k-step: all reads of both operands, and the fill if it competes."""
        core, step = self.core, self.step
        if core.generation == "hopper" and core.weights_from == "registers":
            read = step.warps_m * step.b_bytes
            return -(-(read + core.fill_on_port * step.fill_bytes) // core.shared_port_bytes)
        return step.port_clocks(core.fill_on_port, core.shared_port_bytes)

    @property
    def shares(self) -> tuple[int, int]:
        """Blocks of a cluster that share weights, and activations: one each, or the larger operand."""
        step, blocks = self.step, self.core.cluster
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
    def threads(self) -> int:
        """Of a block; on Hopper one more warp group fills the ring."""
        readers = self.tile.readers_m * self.tile.readers_n
        return (readers + 1) * WARP_GROUP if self.core.generation == "hopper" else readers * WARP

    @property
    def registers(self) -> int:
        """Of a thread: sums, an instruction's operands twice (not on Hopper), and some for the rest."""
        tile, hopper = self.tile, self.core.generation == "hopper"
        readers = tile.readers_m * tile.readers_n
        lanes = readers * (WARP_GROUP if hopper else WARP)
        sums = tile.weights * tile.activations // lanes
        rows = tile.weights // tile.readers_m + tile.activations // tile.readers_n * (2 if self.sparse else 1)
        operands = 0 if hopper else 2 * rows * FRAGMENT_BYTES // (4 * WARP)
        return min(MOST_REGISTERS, sums + operands + self.core.spare_registers)

    @property
    def blocks_per_sm(self) -> int:
        """Blocks that fit the shared memory and the registers of an SM; 0 if not even one does."""
        core = self.core
        wide = -(-self.registers // REGISTER_UNIT) * REGISTER_UNIT
        fit = min(core.shared_memory // self.block_bytes, core.registers // (wide * self.threads))
        return min(core.blocks_limit, fit)

    @property
    def limit_of_blocks(self) -> str:
        """What keeps a further block off the SM."""
        wide = -(-self.registers // REGISTER_UNIT) * REGISTER_UNIT
        counts = {
            "shared memory": self.core.shared_memory // self.block_bytes,
            "registers": self.core.registers // (wide * self.threads),
            "blocks_limit": self.core.blocks_limit,
        }
        return min(counts, key=counts.__getitem__)

    @property
    def panel(self) -> int:
        """Tiles of activations that go side by side: `swizzle`, or a wave as square as it can be."""
        square = math.sqrt(self.slots * self.tile.weights / self.tile.activations)
        return self.core.swizzle or max(1, round(square))

    def wave_bytes(self, tall: int, wide: int) -> int:
        """Operands of one k-step of a wave, of a result of tall x wide tiles, each once."""
        columns = min(self.panel, wide)
        rows = min(tall, -(-self.slots // columns))
        return columns * self.step.b_bytes + rows * self.step.a_bytes

    @property
    def slots(self) -> int:
        """Blocks that run at once."""
        return self.core.sms * self.blocks_per_sm
