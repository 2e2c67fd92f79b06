"""Hardware units as the cycle models and the RTL know them: one file a unit.

Each has its parameters (a frozen dataclass that configures model and RTL alike) and two faces of time:
a model whose `step` is one clock, the definition, and `cycles`, fast, over whole inputs. `tensor_core` is
hardware that others built: its clocks are formulas and measurements with their sources.
"""
