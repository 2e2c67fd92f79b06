"""A3 (HPCA 2020): attention in three chained modules, exact or among candidates found by a greedy search.

`parameters` says how large it is, `decisions` runs its search on the model's Q and K, `rows` makes the plan.
"""

from accelsim.accelerators.a3.machine import A3, PRESETS

__all__ = ["A3", "PRESETS"]
