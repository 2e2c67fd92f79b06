"""SAT's parameters, presets, and how it turns a layer into a plan.

counts below are a model of the described mechanism, not a table of the paper.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, get_args

from accelsim.accelerators.arrays import ArrayMachine
from accelsim.accelerators.base import require
from accelsim.accelerators.folds import Folds, weight_stationary
from accelsim.accelerators.gemm import Array
from accelsim.accelerators.products import Pattern
from accelsim.energy import Energy
from accelsim.workload import Matmul

SparseMode = Literal["time", "slot"]

HALF = ("fp16", "bf16")


@dataclass(frozen=True, kw_only=True)
class Sat(ArrayMachine):
    """32 x 32 processing elements at 200 MHz, FP16 operands, one DDR4-2400 channel.

    `sparse_mode`: `time`, a processing element holds the N stored weights of a group and takes N cycles
    for it; `slot`, one stored weight for each. `adder_latency` cycles between two sums in one accumulator are
    hidden by `interleave` independent sums; sums that travel down a column (weight stationary) pay it in
    every row of the array, once a fold. `multiplier_latency` is paid with every drain.
    `overlapped`: fill and drain hide behind the neighbouring fold, only the outermost are paid.
    """

    name: ClassVar[str] = "sat"

    clock_hz: float = 200e6
    activation_buffer: int = 4 << 20
    weight_buffer: int = 2 << 20
    output_buffer: int = 4 << 20
    sparse_mode: SparseMode = "time"
    adder_latency: int = 1
    multiplier_latency: int = 0
    interleave: int = 1
    overlapped: bool = False
    # The board's VU9P: 16 nm, 0.85 V.
    energy: Energy = field(default_factory=lambda: Energy(node_nm=16, volts=0.85, fabric="fpga"))

    def __post_init__(self) -> None:
        super().__post_init__()
        modes = get_args(SparseMode)
        require(self.sparse_mode in modes, "sparse_mode", f"one of {', '.join(modes)}", self.sparse_mode)
        require(
            self.dtype in HALF,
            "dtype",
            f"one of {', '.join(HALF)} (the multipliers have 16 bits)",
            self.dtype,
        )
        require(self.adder_latency >= 1, "adder_latency", ">= 1", self.adder_latency)
        require(self.multiplier_latency >= 0, "multiplier_latency", ">= 0", self.multiplier_latency)
        require(self.interleave >= 1, "interleave", ">= 1", self.interleave)

    def array(self) -> Array:
        """The array with its arithmetic latencies."""
        return replace(
            super().array(),
            interval=self.adder_latency,
            interleave=self.interleave,
            latency=self.multiplier_latency + self.adder_latency - 1,
            overlapped=self.overlapped,
        )

    def peak_gflops(self, kept: int = 1, group: int = 1) -> float:
        """10^9 operations a second, two for each product and sum; with N:M, of the dense work it replaces."""
        return 2 * self.rows * self.cols * self.clock_hz * group / kept / 1e9

    def held(self, pattern: Pattern) -> int:
        """All N of a group, or one."""
        return pattern.kept if self.sparse_mode == "time" and not pattern.is_dense else 1

    def remarks(self, product: Matmul, pattern: Pattern, folds: Folds) -> list[str]:
        """Beside a mask that keeps everything: what its sparse mode would take."""
        lines = super().remarks(product, pattern, folds)
        size = int(str(product.geometry.get("pattern", "0:0")).split(":")[1])
        if (
            product.mask is not None
            and pattern.is_dense
            and size > 1
            and product.mask.kept == product.n * product.k
        ):
            gemm = replace(self.gemm(product, Pattern()), kept=size, group=size, held=size)
            cycles = weight_stationary(gemm, self.array()).compute_cycles
            lines.append(
                f"dense mode {folds.compute_cycles} compute cycles; "
                f"time-multiplexed {size}:{size}, weight stationary, {cycles}"
            )
        return lines

    def assumptions(self) -> tuple[str, ...]:
        """What the paper leaves open and how it is set here."""
        size = f"{self.rows} x {self.cols} at {self.clock_hz / 1e6:g} MHz"
        sparse = {
            "time": "one processing element holds a group's N weights for N cycles",
            "slot": "one stored weight for each processing element",
        }[self.sparse_mode]
        return (
            f"{size} and the sizes of the buffers are choices, not figures of the paper's abstract",
            f"cycles (unpublished): adder {self.adder_latency}, multiplier {self.multiplier_latency}, hop 1",
            "weight stationary: a sum passes the adder of every row on its way down, once for each fold",
            f"fill and drain of the folds {'overlap' if self.overlapped else 'are exposed'}",
            f"N:M with stationary weights: {sparse}",
            *super().assumptions(),
        )


PAPER = Sat()

# All four channels of the board: 76.8 GB/s.
VCU1525 = Sat(dram=replace(PAPER.dram, channels=4))

TINY = Sat(rows=4, cols=4, activation_buffer=1 << 15, weight_buffer=1 << 14, output_buffer=1 << 15)

PRESETS = {"paper": PAPER, "vcu1525": VCU1525, "tiny": TINY}
