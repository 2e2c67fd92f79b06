"""Memory devices: what the engine asks for bursts."""

from accelsim.dram.cache import Cache
from accelsim.dram.presets import DDR4_2400, DEVICES, HBM2_2000
from accelsim.dram.seat import Memory
from accelsim.dram.timing import Device as Dram

__all__ = ["DDR4_2400", "DEVICES", "HBM2_2000", "Cache", "Dram", "Memory"]
