"""The rows that a report is made of: one per layer, and one per stage in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from accelsim.machine import Traffic

Fact = int | float | str


@dataclass(frozen=True, kw_only=True)
class StageRow:
    """One stage in one layer. `busy`, `idle` and `stalled` (by cause) are cycles, summed over the lanes.

    `unit` is what the stage occupies, `instances` how many of it the machine has; `memory`: the stage
    sends bursts.
    """

    name: str
    unit: str
    instances: int
    memory: bool
    busy: int
    idle: int
    stalled: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class LayerRow:
    """One layer. The figures of a layer that was not simulated are None, and `reason` says why.

    `compute_cycles` are with unlimited memory. Bytes are those that DRAM moved; `traffic` says how.
    `macs_dense` are the multiply-accumulates of the unpruned layer, of which `macs_done` were executed.
    `seconds`: the cycles at the clock and `launch_seconds`, or `power_seconds` if a limit of power makes them
    longer. `verdict`: why, in words, from machines that say so. `part_pj`: energy of the machine's
    parts, by name; `sram_pj` and `logic_pj` are its sums. `dram_pj`: that of the memory devices; None for one
    whose currents are not known. `operand_bytes`: what the memory, or the cache before it, was asked for, by
    what it holds.
    """

    name: str
    op: str
    macs_dense: int
    reason: str = ""
    cycles: int | None = None
    compute_cycles: int | None = None
    seconds: float | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None
    traffic: Traffic | None = None
    macs_done: int | None = None
    launches: int | None = None
    launch_seconds: float | None = None
    power_seconds: float | None = None
    verdict: str = ""
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Fact] = field(default_factory=dict)
    stages: tuple[StageRow, ...] = ()
    dram_pj: float | None = None
    sram_pj: float | None = None
    logic_pj: float | None = None
    part_pj: Mapping[str, float] = field(default_factory=dict)
    operand_bytes: Mapping[str, int] = field(default_factory=dict)

    @property
    def simulated(self) -> bool:
        """Whether the machine ran the layer."""
        return self.cycles is not None

    @property
    def row_hits(self) -> int | None:
        """Bursts that found their row open."""
        return self.traffic.row_hits if self.traffic else None

    @property
    def row_misses(self) -> int | None:
        """Bursts that found their bank closed."""
        return self.traffic.row_misses if self.traffic else None

    @property
    def row_conflicts(self) -> int | None:
        """Bursts that found another row open."""
        return self.traffic.row_conflicts if self.traffic else None

    @property
    def dram_bytes(self) -> int | None:
        """Bytes read and written."""
        if self.read_bytes is None or self.write_bytes is None:
            return None
        return self.read_bytes + self.write_bytes


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Intervals (low, high) around the figures of an `Accuracy`; `method` says what they are.

    `difference` is pruned minus dense, on the same samples.
    """

    method: str
    dense: tuple[float, float] | None
    pruned: tuple[float, float]
    difference: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """A metric on `samples` samples, of the dense and of the pruned model.

    `dense` is None where only the pruned model is known. `refitted`: the pruned model again, with its last
    layer fitted anew. `others`: further metrics of the same two models.
    """

    metric: str
    dense: float | None
    pruned: float
    samples: int
    refitted: float | None = None
    spread: Spread | None = None
    others: tuple[Accuracy, ...] = ()

    def without_dense(self) -> Accuracy:
        """The same where the model was pruned before it came, and nobody knows the dense one."""
        spread = self.spread and replace(self.spread, dense=None, difference=None)
        others = tuple(other.without_dense() for other in self.others)
        return replace(self, dense=None, spread=spread, others=others)


def ratio(dense: float | None, pruned: float | None) -> float | None:
    """How many times less the pruned figure is; None where one is missing or zero."""
    return dense / pruned if dense and pruned else None
