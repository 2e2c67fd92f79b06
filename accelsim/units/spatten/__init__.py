"""The machine `spatten`: `Machine` (how it is built), `registers_of` (what software sees), `Model`."""

from accelsim.units.spatten.machine import Model
from accelsim.units.spatten.parameters import PRESETS, Machine

__all__ = ["PRESETS", "Machine", "Model"]
