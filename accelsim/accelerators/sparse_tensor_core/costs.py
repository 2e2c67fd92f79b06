"""What a kernel pays beside its cycles: the time of its launch, and the power that its board has.

Both are measured, not derived: parameters of a preset, with their source.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from accelsim.accelerators.base import PowerLimit

NARROW = ("int8", "fp8", "int4")


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Seconds of a kernel before and after its cycles: what a 64 x 64 x 64 product was measured to take, less
    the cycles of its one tile here (arXiv 2603.05232, cuBLASLt dense and cuSPARSELt 2:4).

    `wide`: FP16; BF16 and TF32 are taken to be alike. `narrow`: INT8; FP8 and INT4 likewise.
    """

    wide: float
    wide_sparse: float
    narrow: float
    narrow_sparse: float

    def __post_init__(self) -> None:
        for entry in fields(self):
            if not getattr(self, entry.name) >= 0:
                raise ValueError(f"launch.{entry.name} must be >= 0, not {getattr(self, entry.name)}")

    def seconds(self, dtype: str, sparse: bool) -> float:
        """Of one kernel."""
        name = "narrow" if dtype in NARROW else "wide"
        found: float = getattr(self, name + "_sparse" * sparse)
        return found

    def assumptions(self, dtype: str) -> tuple[str, ...]:
        """A line for the report."""
        dense, sparse = (1e6 * self.seconds(dtype, which) for which in (False, True))
        return (
            f"seconds include {dense:.3g} us for each dense kernel, {sparse:.3g} us for each of 2:4 (launch)",
        )


@dataclass(frozen=True, kw_only=True)
class Power:
    """A board's limit: idle, DRAM, and the counted events of the chip times a factor.

    `watts`: the limit (0: none), of which `idle_watts` are gone before anything is counted. Counted are
    tensor cores, shared memories and L2; `wide` and `narrow` (types of 16 and more bits, of 8 and less) stand
    for all else: registers, schedulers, wires, clocks, losses. They are the only fitted figures of a board.
    """

    watts: float = 0.0
    idle_watts: float = 0.0
    wide: float = 1.0
    narrow: float = 1.0

    def __post_init__(self) -> None:
        for name in ("wide", "narrow"):
            if not getattr(self, name) > 0:
                raise ValueError(f"power.{name} must be > 0, not {getattr(self, name)}")
        if not (0 <= self.idle_watts < self.watts or self.watts == self.idle_watts == 0):
            raise ValueError(f"power.idle_watts must be from 0 to below power.watts, not {self.idle_watts}")

    def limit(self, dtype: str) -> PowerLimit | None:
        """Of what is counted; None without a limit."""
        return (
            PowerLimit(watts=self.watts - self.idle_watts, factor=self.factor(dtype)) if self.watts else None
        )

    def factor(self, dtype: str) -> float:
        """Energy of the chip for what is counted of it."""
        return self.narrow if dtype in NARROW else self.wide

    def assumptions(self, dtype: str) -> tuple[str, ...]:
        """Lines for the report."""
        if not self.watts:
            return ("no limit of power: the clock never drops",)
        counted = f"and {self.factor(dtype):g} times the counted energy (power)"
        return (
            f"the clock drops at {self.watts:g} W: {self.idle_watts:g} W idle, DRAM, {counted}",
            "the factor of the power is fitted to measured square products, dense and 2:4 alike",
        )


UNLIMITED = Power()

A100_LAUNCH = Launch(wide=3.5e-6, wide_sparse=5.2e-6, narrow=5.1e-6, narrow_sparse=5.0e-6)

H100_LAUNCH = Launch(wide=4.0e-6, wide_sparse=4.7e-6, narrow=4.0e-6, narrow_sparse=4.7e-6)
