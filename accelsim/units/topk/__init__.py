"""The top-k engine of SpAtten: `TopK` (how it is built), `Model` (clock by clock), `cycles` (at once).

`selection_cycles` is the time of the selection alone, over many rows: what the accelerators ask.
"""

from accelsim.units.topk.cycles import cycles
from accelsim.units.topk.parameters import TopK
from accelsim.units.topk.selection import published_cycles, schedule, selection_cycles
from accelsim.units.topk.step import Model

FULL = TopK()

PRESETS = {
    "full": FULL,
    "deep": TopK(form="deep"),
    "radix": TopK(engine="radix", form="deep"),
    "tiny": TopK(width=4, capacity=64),
    "tiny_radix": TopK(engine="radix", width=4, capacity=64),
}

__all__ = ["PRESETS", "Model", "TopK", "cycles", "published_cycles", "schedule", "selection_cycles"]
