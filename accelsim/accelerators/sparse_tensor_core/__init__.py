"""The 2:4 sparse tensor core of a GPU: one GEMM as thread-block tiles on the slots of its SMs.

The sparse operand is the weight (n x k); activations (m x k) are the dense one. `formats` says what is
multiplied and how fast, `boards` what lies around the SMs, `machine` turns a layer into a plan, `rows` writes
its rows, `presets` has the GPUs by name. `sparseloop` is another machine of this kind, with files of its own.
"""

from accelsim.accelerators.sparse_tensor_core.machine import SparseTensorCore
from accelsim.accelerators.sparse_tensor_core.presets import PRESETS

__all__ = ["PRESETS", "SparseTensorCore"]
