"""A plain systolic array, the machine that SCALE-Sim counts: output or weight stationary, dense or N:M."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from accelsim.accelerators.arrays import ArrayMachine


@dataclass(frozen=True, kw_only=True)
class Systolic(ArrayMachine):
    """Fill and drain of every fold are exposed; N:M weights use the slot model.

    In the slot model one stored weight takes one processing element of its column and picks its
    activation out of the group. Compute cycles equal SCALE-Sim 3.0.0 plus 1 (it reports the index
    of the last cycle), dense in both dataflows and N:M.
    """

    name: ClassVar[str] = "systolic"

    def assumptions(self) -> tuple[str, ...]:
        """What the machine assumes, for the report."""
        return (
            "fill and drain of every fold are exposed; a multiply and add takes one cycle",
            "N:M: one stored weight for each processing element (slot model), no cost for its multiplexer",
            *super().assumptions(),
        )


PRESETS = {"32": Systolic()}


def square(size: int) -> Systolic:
    """A size x size array."""
    return Systolic(rows=size, cols=size)
