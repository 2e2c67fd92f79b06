"""SAT: an array of unified sparse processing elements for N:M networks, inference and training.

Source: Fang et al., "Efficient N:M Sparse DNN Training Using Algorithm, Architecture, and Dataflow
Co-Design", IEEE TCAD 2023. `machine` has the parameters and the presets.
"""

from accelsim.accelerators.sat.machine import PAPER, PRESETS, TINY, VCU1525, Sat

__all__ = ["PAPER", "PRESETS", "TINY", "VCU1525", "Sat"]
