"""How large A3 is: every number with its unit and its source.

A3: Ham et al., HPCA 2020, arXiv 2002.10941. What the papers do not say is chosen here, and a report tells it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import ClassVar

from accelsim.accelerators.base import require
from accelsim.accelerators.whole import HBM2_X2, Arrays, check_arrays
from accelsim.dram import Cache, Dram
from accelsim.energy import Energy


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """A3 of n = 320 keys and d = 64 at 1 GHz.

    `lanes`: multipliers of the dot product, one key a cycle; the output module has as many, one value a
    cycle. `arrays`: `together`: dot products of a query run beside the outputs of the one before (256
    operations a cycle); `in_turn`: one of the two works at a time (128, as the SpAtten paper counts).
    `capacity`: keys on chip. `pairs`: K, V and their sorted copy that fit: with 1, loading and sorting are
    exposed. `overhead`: cycles of a module beside its n: a query takes n + 9 and leaves after 3n + 27.
    `iterations`: of the candidate search, as a fraction of the keys; 0 is the base machine, without search.
    `threshold`: post-scoring keeps weights of at least this fraction of the largest.
    `sorters`: key columns sorted at once, each by merging, one element a cycle.
    `candidate_share`, `kept_share`: where a workload has no Q and K, or no scores: candidates found by an
    iteration, and candidates kept by post-scoring.
    `element_bits`: in memory and on chip; of them `fraction_bits` behind the point.
    `query_rows`, `score_rows`: rows that wait before a module, `write_back`: outputs go to memory.
    """

    cache: ClassVar[Cache | None] = None

    clock_hz: float = 1e9
    lanes: int = 64
    arrays: Arrays = "together"
    capacity: int = 320
    pairs: int = 1
    overhead: int = 9
    iterations: float = 0.0
    threshold: float = 0.0
    sorters: int = 64
    candidate_share: float = 1.0
    kept_share: float = 1.0
    element_bits: int = 9
    fraction_bits: int = 4
    query_rows: int = 4
    score_rows: int = 2
    share_kv: bool = True
    write_back: bool = False
    dram: Dram = HBM2_X2
    launch_seconds: float = 0.0
    # TSMC 40 nm, as SpAtten's table compares them.
    energy: Energy = field(default_factory=lambda: Energy(node_nm=40, volts=0.9))

    def __post_init__(self) -> None:
        for name in ("lanes", "capacity", "pairs", "sorters", "query_rows", "score_rows"):
            require(getattr(self, name) >= 1, name, ">= 1", getattr(self, name))
        for name in ("overhead", "launch_seconds"):
            require(getattr(self, name) >= 0, name, ">= 0", getattr(self, name))
        for name in ("iterations", "threshold", "candidate_share", "kept_share"):
            require(0 <= getattr(self, name) <= 1, name, "0..1", getattr(self, name))
        require(self.clock_hz > 0, "clock_hz", "> 0", self.clock_hz)
        require(2 <= self.element_bits <= 16, "element_bits", "2..16", self.element_bits)
        require(
            0 <= self.fraction_bits <= min(8, self.element_bits - 1),
            "fraction_bits",
            f"0..{min(8, self.element_bits - 1)}",
            self.fraction_bits,
        )
        check_arrays(self.arrays)

    @property
    def searches(self) -> bool:
        """Whether it looks for candidates, and so sorts its keys."""
        return self.iterations > 0

    @property
    def peak_ops_per_second(self) -> float:
        """Multiplications and additions, as `arrays` counts them."""
        return 2 * self.lanes * self.clock_hz * (2 if self.arrays == "together" else 1)

    def search_iterations(self, keys: int) -> int:
        """Iterations of a search among `keys`: at least one."""
        return max(1, int(self.iterations * keys)) if self.searches else 0

    def sort_cycles(self, keys: int, dim: int) -> int:
        """Merge sort of `dim` columns: ceil(log2 n) passes of n elements, `sorters` columns at once."""
        return ceil(dim / self.sorters) * keys * (keys - 1).bit_length()
