"""Energy and area: what one event costs, from published tables. Machines count events, `run` multiplies."""

from accelsim.energy.parts import Part, area_mm2, energy_pj
from accelsim.energy.table import Cost, Energy

__all__ = ["Cost", "Energy", "Part", "area_mm2", "energy_pj"]
