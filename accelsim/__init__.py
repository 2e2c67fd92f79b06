"""From a pruned PyTorch model to cycles, bytes, joules and Verilog.

`trace` turns a torch model into a `Workload`, `run` simulates a workload on an accelerator and gives a
`Report`. Only `trace` needs torch.
"""

__version__ = "0.1.0"

from accelsim.start import guarded_imports

with guarded_imports():
    from accelsim.accelerators import A3, MnnFast, Sat, SparseTensorCore, SpAtten, Systolic
    from accelsim.dram import Dram
    from accelsim.report import Report
    from accelsim.run import run
    from accelsim.trace import trace
    from accelsim.workload import Attention, Matmul, Unknown, Workload

__all__ = [
    "A3",
    "Attention",
    "Dram",
    "Matmul",
    "MnnFast",
    "Report",
    "Sat",
    "SpAtten",
    "SparseTensorCore",
    "Systolic",
    "Unknown",
    "Workload",
    "__version__",
    "run",
    "trace",
]
