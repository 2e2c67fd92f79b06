"""Memory devices: what the engine asks for bursts."""

from accelsim.dram.device import PRESETS, Dram

__all__ = ["PRESETS", "Dram"]
