"""The head pipeline of SpAtten: `Head` (how it is built), `Model` (clock by clock), `cycles` (over rows)."""

from accelsim.units.head.parameters import NOTHING, PRESETS, Head
from accelsim.units.head.step import Model, cycles

__all__ = ["NOTHING", "PRESETS", "Head", "Model", "cycles"]
