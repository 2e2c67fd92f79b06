"""What a kernel pays beside its cycles: the time of its launch, and the power that its board has.

Both are measured, not derived: parameters of a preset, with their source.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from accelsim.accelerators.base import PowerLimit

NARROW = ("int8", "fp8", "int4")


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Seconds of a kernel before and after its cycles: what a 64 x 64 x 64 product was measured to take, over
    and over, less its cycles here with operands in the L2 (arXiv 2603.05232, cuBLASLt and cuSPARSELt).

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
        kind = f"{_kind(dtype)} kernel"
        return (f"seconds include {dense:.3g} us for each dense {kind}, {sparse:.3g} us for 2:4 (launch)",)


@dataclass(frozen=True, kw_only=True)
class Power:
    """A board's limit: idle, DRAM, and the counted events of the chip times a factor.

    `watts`: the limit (0: none), of which `idle_watts` are gone before anything is counted. Counted are
    tensor cores, registers, shared memories and L2; `wide` and `narrow` (types of 16 and more bits, of 8 and
    less) stand for all else: schedulers, wires, clocks, losses. They are the only fitted figures of a board.
    `memory_bit_pj`: a bit of HBM with link and controller, 7 pJ (Xilinx WP485, known at second
    hand); the currents of the device alone give a third of it.
    """

    watts: float = 0.0
    idle_watts: float = 0.0
    wide: float = 1.0
    narrow: float = 1.0
    memory_bit_pj: float = 7.0

    def __post_init__(self) -> None:
        for name in ("wide", "narrow"):
            if not getattr(self, name) > 0:
                raise ValueError(f"power.{name} must be > 0, not {getattr(self, name)}")
        if not self.memory_bit_pj >= 0:
            raise ValueError(f"power.memory_bit_pj must be >= 0, not {self.memory_bit_pj}")
        if not (0 <= self.idle_watts < self.watts or self.watts == self.idle_watts == 0):
            raise ValueError(f"power.idle_watts must be from 0 to below power.watts, not {self.idle_watts}")

    def limit(self, dtype: str) -> PowerLimit | None:
        """Of what is counted; None without a limit."""
        if not self.watts:
            return None
        return PowerLimit(
            watts=self.watts - self.idle_watts,
            factor=self.factor(dtype),
            memory_bit_pj=self.memory_bit_pj,
        )

    def factor(self, dtype: str) -> float:
        """Energy of the chip for what is counted of it."""
        return self.narrow if dtype in NARROW else self.wide

    def assumptions(self, dtype: str) -> tuple[str, ...]:
        """Lines for the report."""
        if not self.watts:
            return ("no limit of power: the clock never drops",)
        memory = f"{self.idle_watts:g} W idle, {self.memory_bit_pj:g} pJ for each bit of DRAM"
        counted = f"{self.factor(dtype):g} times the counted energy of {_kind(dtype)} products"
        return (
            f"the clock drops at {self.watts:g} W: {memory}, and {counted} (power)",
            "the factor of the power is set near its fit to measured square products, dense and 2:4 alike",
        )


def _kind(dtype: str) -> str:
    return "8-bit" if dtype in NARROW else "16-bit"


UNLIMITED = Power()

A100_LAUNCH = Launch(wide=3.63e-6, wide_sparse=5.37e-6, narrow=5.27e-6, narrow_sparse=5.11e-6)

# BF16 and FP16 were not measured at 64 cubed there.
H100_LAUNCH = Launch(wide=4.14e-6, wide_sparse=4.87e-6, narrow=4.14e-6, narrow_sparse=4.87e-6)
