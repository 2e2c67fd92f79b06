"""The parts of a machine: what happens in them costs energy, and they take area."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from accelsim.energy.table import Cost

Group = Literal["logic", "sram"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """`count` equal circuits or memories; `cost` is one event in one of them, and its area."""

    name: str
    group: Group
    cost: Cost
    count: int = 1


def energy_pj(parts: Iterable[Part], events: Mapping[str, float]) -> dict[str, float]:
    """pJ of each part's events. KeyError for an event in a part that the machine has not."""
    known = {part.name: part for part in parts}
    return {name: events[name] * known[name].cost.pj for name in events}


def area_mm2(parts: Iterable[Part]) -> float:
    """Area of all parts."""
    return sum(part.count * part.cost.um2 for part in parts) / 1e6
