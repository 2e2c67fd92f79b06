"""`MnnFast`: the parameters, what they refuse, and the plan of a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from accelsim.accelerators.base import LayerPlan, check_pieces
from accelsim.accelerators.mnnfast.events import parts
from accelsim.accelerators.mnnfast.parameters import Parameters
from accelsim.accelerators.mnnfast.rows import plan_rows
from accelsim.accelerators.whole import refuse
from accelsim.energy import Part
from accelsim.workload import Attention, Layer


@dataclass(frozen=True, kw_only=True)
class MnnFast(Parameters):
    """MnnFast as an accelerator: attention chunk by chunk, divided at the end, small V skipped."""

    name: ClassVar[str] = "mnnfast"

    def refuse(self, layer: Layer) -> str:
        """Why this machine cannot run the layer; empty if it can."""
        return refuse(layer, "multipliers", self.multipliers)

    def parts(self) -> tuple[Part, ...]:
        """What the machine is made of, as far as its energy and area are counted."""
        return parts(self)

    def plan(self, layer: Layer) -> LayerPlan:
        """The layer on this machine; ValueError for one that it refuses."""
        reason = self.refuse(layer)
        if reason or not isinstance(layer, Attention):
            raise ValueError(f"layer {layer.name!r}: {reason}")
        whole = layer.dense()
        check_pieces(whole.batch * whole.heads * whole.queries * -(-whole.keys // self.chunk_keys))
        return plan_rows(self, layer)

    def assumptions(self) -> tuple[str, ...]:
        """Lines for the report: what was chosen where the sources are silent."""
        reading = "at once" if self.arrays == "together" else "in turn"
        return (
            f"{self.multipliers} + {self.multipliers} multipliers: QxK and PxV work {reading} (arrays)",
            f"K and V stream in chunks of {self.chunk_keys} keys, {self.chunks} on chip (chunk_keys, chunks)",
            f"{self.query_rows} queries of a head meet each chunk; more read K and V again (query_rows)",
            f"V of a probability below {self.threshold:g} are fetched and not multiplied (threshold)",
            "that probability is known when its chunk is there, though its sum is complete only at the end",
            f"without scores in the workload {self.kept_share:g} of the V are multiplied (kept_share)",
            "PxV reads a chunk's weights when they are complete; skipped V take no time",
            f"Q, K and V are read whole, in whole bursts, {self.element_bits} bits an element (element_bits)",
            "latencies of the modules are those of SpAtten's (artefact)",
            "only attention is timed, layer after layer",
            *self.energy.assumptions(),
        )


PRESETS: dict[str, MnnFast] = {"eighth": MnnFast()}
