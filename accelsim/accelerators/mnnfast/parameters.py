"""How large MnnFast is: its algorithm is published (Jang et al., ISCA 2019), its ASIC is the SpAtten paper's.

That paper gives it the multipliers, the bandwidth and the clock of SpAtten-1/8 (section 5); the rest is
chosen here, and a report tells it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from accelsim.accelerators.base import require
from accelsim.accelerators.whole import HBM2_X2, Arrays, check_arrays
from accelsim.dram import Cache, Dram
from accelsim.energy import Energy

ROWS = 3
"""Of a chunk's scores, and of its weights: one is written, one is read, one is on its way."""


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """A column-based machine: chunks of K and V stream by, every query meets each of them.

    `multipliers` for QxK and as many for PxV. `arrays`: whether both work at once or `in_turn`.
    `threshold`: V whose probability is lower are not multiplied; they are fetched all the same.
    `kept_share`: of the V, where a workload has no scores. `chunk_keys`: of a chunk; `chunks` fit at once.
    `query_rows`: queries and their sums on chip; more of them are further passes over K and V.
    `dividers`: outputs a cycle behind the last chunk. `element_bits`: in memory and on chip.
    Latencies, in cycles: those of SpAtten's modules (artefact, bert.cpp). `write_back`: outputs go to memory.
    """

    cache: ClassVar[Cache | None] = None

    clock_hz: float = 1e9
    multipliers: int = 64
    arrays: Arrays = "together"
    threshold: float = 0.1
    kept_share: float = 1.0
    chunk_keys: int = 128
    chunks: int = 2
    query_rows: int = 1024
    dividers: int = 8
    qk_latency: int = 11
    exponent_latency: int = 28
    pv_latency: int = 5
    divide_latency: int = 29
    element_bits: int = 12
    share_kv: bool = True
    write_back: bool = False
    dram: Dram = HBM2_X2
    launch_seconds: float = 0.0
    # An ASIC at the node of the machines that it is compared with.
    energy: Energy = field(default_factory=lambda: Energy(node_nm=40, volts=0.9))

    def __post_init__(self) -> None:
        latencies = ("qk_latency", "exponent_latency", "pv_latency", "divide_latency", "launch_seconds")
        for least, names in (
            (1, ("multipliers", "chunk_keys", "chunks", "query_rows", "dividers", "element_bits")),
            (0, latencies),
        ):
            for name in names:
                require(getattr(self, name) >= least, name, f">= {least}", getattr(self, name))
        for name in ("threshold", "kept_share"):
            require(0 <= getattr(self, name) <= 1, name, "0..1", getattr(self, name))
        require(self.clock_hz > 0, "clock_hz", "> 0", self.clock_hz)
        check_arrays(self.arrays)

    @property
    def peak_ops_per_second(self) -> float:
        """Multiplications and additions, as `arrays` counts them."""
        return 2 * self.multipliers * self.clock_hz * (2 if self.arrays == "together" else 1)

    def vectors_per_cycle(self, dim: int) -> int:
        """Keys, or values, that an array takes in a cycle."""
        return self.multipliers // dim
