"""What every accelerator offers to `run`: parameters, a refusal, and a plan per layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

from accelsim.dram import Cache, Dram, Memory
from accelsim.energy import Energy, Part
from accelsim.plan import Integers, Plan
from accelsim.samples import Sample
from accelsim.windows import Segment
from accelsim.workload import Layer

MOST_PIECES = 2**22


@dataclass(frozen=True, kw_only=True)
class PowerLimit:
    """The energy of the counted events times `factor`, and that of the memory, draw `watts` at most.

    `memory_bit_pj`: what a bit to or from the memory takes at least, controller and link included.
    """

    watts: float
    factor: float
    memory_bit_pj: float = 0.0

    def seconds(self, chip_pj: float, memory_pj: float, memory_bytes: float) -> float:
        """The least time of so much energy."""
        memory = max(memory_pj, 8 * memory_bytes * self.memory_bit_pj)
        return (chip_pj * self.factor + memory) * 1e-12 / self.watts


@dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """One layer as a plan, with the counts that its report line needs.

    `macs_done` of `macs_dense` multiply-accumulates are executed. `launches` kernels pay the machine's
    launch time. `notes`: why the layer runs as it does ("unstructured zeros: dense cycles").
    `facts`: further figures for the layer's report line (pattern, dataflow, tiles). `events`: how often each
    of the machine's parts, by name, does what its energy is counted for. `segments`: jobs of the plan that
    stand for several equal ones (empty: each for itself); everything else here counts all of them.
    `most_bursts`: of a plan with more, windows are simulated (0: every burst). `samples`: plans whose
    weighted sum stands for the layer; `plan` is one of them. `launch_seconds`: of all launches, if they
    differ from the machine's. `power`: a limit under which the clock drops. `held`: addresses that lie in the
    cache when the layer begins, the most recent last. `asked`: accesses that the layer reads and
    writes, where samples stand for it.
    """

    plan: Plan
    macs_dense: int
    macs_done: int
    launches: int = 0
    notes: tuple[str, ...] = ()
    facts: dict[str, int | float | str] = field(default_factory=dict)
    events: dict[str, float] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()
    most_bursts: int = 0
    samples: tuple[Sample, ...] = ()
    launch_seconds: float | None = None
    power: PowerLimit | None = None
    held: Integers | None = None
    asked: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Timed:
    """What a layer took, for a machine that says why. `power_seconds`: the least that its energy takes."""

    facts: Mapping[str, int | float | str]
    seconds: float
    cycles: int
    compute_cycles: int
    launch_seconds: float
    power_seconds: float
    read_bytes: int
    write_bytes: int


@runtime_checkable
class Explains(Protocol):
    """A machine that says in words why a layer takes its time."""

    def verdict(self, layer: Timed, dense: Timed | None) -> str:
        """One sentence with figures; `dense`: the same layer unpruned."""


@runtime_checkable
class Typed(Protocol):
    """A machine that runs each layer in the layer's own type of elements."""

    def for_layer(self, layer: Layer) -> Accelerator:
        """The machine as it is for this layer. ValueError for a type that it does not multiply."""


class Accelerator(Protocol):
    """A frozen dataclass of parameters. `assumptions()` are printed in every report.

    One that also has `peak_ops_per_second`, of all its arithmetic in every cycle, gets a flat roof on a
    roofline; one with `start_cycles` begins its first layer so much later.
    """

    name: ClassVar[str]

    @property
    def clock_hz(self) -> float:
        """Cycles a second."""

    @property
    def dram(self) -> Dram:
        """The memory behind the machine."""

    @property
    def cache(self) -> Cache | None:
        """The cache before the memory, or None."""

    @property
    def launch_seconds(self) -> float:
        """Fixed time of a kernel, paid for each of a layer's launches."""

    @property
    def energy(self) -> Energy:
        """What operations and memory accesses cost."""

    def parts(self) -> tuple[Part, ...]:
        """What the machine is made of, as far as its energy and area are counted."""

    def refuse(self, layer: Layer) -> str:
        """Why this machine cannot run the layer; empty if it can."""

    def plan(self, layer: Layer) -> LayerPlan:
        """The layer on this machine."""

    def assumptions(self) -> tuple[str, ...]:
        """Lines for the report: what was chosen where the sources are silent."""


@runtime_checkable
class Scheduled(Protocol):
    """An accelerator whose file `schedule` pins layers by name ("": none)."""

    @property
    def schedule(self) -> str:
        """Path of the file."""

    def require_layers(self, layers: Sequence[Layer]) -> None:
        """ValueError if the file names a layer that is not there."""


def memory_of(machine: Accelerator) -> Memory:
    """The machine's memory, as `accelsim.machine.simulate` takes it. ValueError for parts that do not fit."""
    return Memory(dram=machine.dram, clock_hz=machine.clock_hz, cache=machine.cache)


def check_pieces(pieces: int) -> None:
    """Refuse work in more pieces than fit a memory: each takes some 500 bytes on its way to the report."""
    if pieces > MOST_PIECES:
        raise ValueError(
            f"work must be at most {MOST_PIECES} pieces (folds, tiles), not {pieces}: "
            "take a smaller product or a larger machine"
        )


def require(holds: bool, name: str, expected: str, value: object) -> None:
    """Refuse a parameter: "rows must be > 0, not -1"."""
    if not holds:
        raise ValueError(f"{name} must be {expected}, not {value!r}")
