"""`A3`: the parameters, what they refuse, and the plan of a layer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from accelsim.accelerators.a3.events import parts
from accelsim.accelerators.a3.parameters import Parameters
from accelsim.accelerators.a3.rows import plan_rows
from accelsim.accelerators.base import LayerPlan, check_pieces
from accelsim.accelerators.whole import refuse
from accelsim.energy import Part
from accelsim.workload import Attention, Layer


@dataclass(frozen=True, kw_only=True)
class A3(Parameters):
    """A3 as an accelerator: attention of many queries on one K and V, exact or among candidates."""

    name: ClassVar[str] = "a3"

    def refuse(self, layer: Layer) -> str:
        """Why this machine cannot run the layer; empty if it can."""
        reason = refuse(layer, "lanes", self.lanes)
        if reason or not isinstance(layer, Attention):
            return reason
        whole = layer.dense()
        if whole.queries == 1 and whole.keys > 1:
            return "generation (1 query on a K of its own) is not supported by A3: its paper reads K for many"
        if whole.keys > self.capacity:
            return f"keys must be <= {self.capacity} (capacity), not {whole.keys}"
        return ""

    def parts(self) -> tuple[Part, ...]:
        """What the machine is made of, as far as its energy and area are counted."""
        return parts(self)

    def plan(self, layer: Layer) -> LayerPlan:
        """The layer on this machine; ValueError for one that it refuses."""
        reason = self.refuse(layer)
        if reason or not isinstance(layer, Attention):
            raise ValueError(f"layer {layer.name!r}: {reason}")
        whole = layer.dense()
        check_pieces(whole.batch * whole.heads * whole.queries)
        return plan_rows(self, layer)

    def assumptions(self) -> tuple[str, ...]:
        """Lines for the report: what was chosen where the sources are silent."""
        reading = (
            "dot products and outputs of two queries at once, 4 operations a lane and cycle"
            if self.arrays == "together"
            else "dot products and outputs in turn, 2 operations a lane and cycle"
        )
        return (
            f"{self.lanes} + {self.lanes} multipliers: {reading} (arrays)",
            f"a module takes a row in its keys + {self.overhead} cycles, one row at a time (overhead)",
            f"Q, K and V are read whole, in whole bursts, {self.element_bits} bits an element (element_bits)",
            f"K and V of a head fit {self.pairs} times: they are loaded when there is room (pairs)",
            "a head starts when its K and V are on chip",
            *self._search(),
            "only attention is timed, layer after layer; no row of one query (generation)",
            *self.energy.assumptions(),
        )

    def _search(self) -> tuple[str, ...]:
        """What approximation assumes."""
        if not self.searches:
            return ("base: every key is a candidate, nothing is sorted (iterations)",)
        return (
            f"search: {self.iterations:g} x keys iterations of 1 cycle, at least one candidate (iterations)",
            f"post-scoring keeps weights of {self.threshold:g} of the largest, in no time of its own",
            f"key columns are merge-sorted on chip, {self.sorters} at once, 1 element a cycle each (sorters)",
            f"without Q and K in the workload an iteration finds {self.candidate_share:g} candidates",
            f"without scores in the workload {self.kept_share:g} of the candidates are kept (kept_share)",
        )


BASE = A3()

# M = n / 2, T = 5 % and M = n / 8, T = 10 %.
PRESETS: dict[str, A3] = {
    "base": BASE,
    "conservative": replace(BASE, iterations=1 / 2, threshold=0.05),
    "aggressive": replace(BASE, iterations=1 / 8, threshold=0.1),
}
