"""The machine `spatten`: `Machine` (how it is built, and its registers) and `Model` (clock by clock)."""

from accelsim.units.spatten.machine import Model
from accelsim.units.spatten.parameters import PRESETS, Machine

__all__ = ["PRESETS", "Machine", "Model"]
