"""Memory devices: what the engine asks for bursts."""

from accelsim.dram.device import DDR4_2400, HBM2_16, PRESETS, Dram

__all__ = ["DDR4_2400", "HBM2_16", "PRESETS", "Dram"]
