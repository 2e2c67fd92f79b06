"""Proofs by induction: harnesses that say what must always hold of a unit, and the prover that runs Yosys.

Nothing formal stands inside a unit. A proof holds for all inputs, idles, back-pressures and resets, and for
any number of clocks, at the widths and depths that it names.
"""
