"""SpAtten (HPCA 2021): attention with token, head and value pruning and progressive quantisation.

`parameters` says how large the machine is, `layout` which stages it has, `fetch` what comes from
memory, `topk` how long a selection takes, `rows` turns a layer into a plan.
"""

from accelsim.accelerators.spatten.machine import PRESETS, SpAtten
from accelsim.accelerators.spatten.parameters import Softmax
from accelsim.units.topk import TopK

__all__ = ["PRESETS", "Softmax", "SpAtten", "TopK"]
