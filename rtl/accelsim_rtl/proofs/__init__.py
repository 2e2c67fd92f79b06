"""Proofs by induction: components that wrap a unit with what must always hold, and the prover that runs Yosys.

Nothing formal stands inside a unit. A proof holds for all inputs, idles, back-pressures and resets, and for any
number of clocks, at the width and depth that it names.
"""
