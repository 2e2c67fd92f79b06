"""MnnFast (ISCA 2019) as the SpAtten paper compares it: lazy softmax by chunks, V skipped by a threshold.

`parameters` says how large it is, `rows` turns a layer into a plan.
"""

from accelsim.accelerators.mnnfast.machine import PRESETS, MnnFast

__all__ = ["PRESETS", "MnnFast"]
