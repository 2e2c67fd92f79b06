"""Products on a GPU at hand, dense and 2:4, through torch's semi-structured tensors.

`paper_stc.py` adds what they took to its rows. Whatever has `device` and `microseconds` can stand in for it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from statistics import median
from typing import Any, Protocol

TYPES = {"fp16": "float16", "bf16": "bfloat16", "int8": "int8"}
"""Those that torch multiplies both ways; a product of int8 has its own function."""

WARM_UP, RUNS, LAUNCHES = 5, 5, 10


class Gpu(Protocol):
    """Something that takes the time of products."""

    device: dict[str, str]

    def microseconds(self, m: int, n: int, k: int, dtype: str, *, sparse: bool) -> float:
        """Of one product of m x k activations and n x k weights. ValueError for one that it cannot run."""


class TorchGpu:
    """The first CUDA device; `torch` is the module, `sparsify` makes a pruned matrix semi-structured."""

    def __init__(self, torch: Any, sparsify: Callable[[Any], Any]) -> None:
        self.torch, self.sparsify = torch, sparsify
        self.device = {
            "device": torch.cuda.get_device_name(),
            "torch": torch.__version__,
            "cuda": str(torch.version.cuda),
            "driver": driver(),
        }

    def microseconds(self, m: int, n: int, k: int, dtype: str, *, sparse: bool) -> float:
        """The median of several runs of launches after warming up."""
        if dtype not in TYPES:
            raise ValueError(f"dtype must be one of {', '.join(TYPES)}, not {dtype!r}")
        torch = self.torch
        activations, weights = (self._matrix(rows, k, dtype) for rows in (m, n))
        if sparse:
            mask = torch.tensor([1, 1, 0, 0], device="cuda", dtype=torch.bool).tile(n, k // 4)
            weights = self.sparsify(weights * mask)
        if dtype == "int8":
            # The sparse operand goes first: the transposed result, as the libraries compute it.
            return self._timed(lambda: torch._int_mm(weights, activations.t()))
        return self._timed(lambda: torch.nn.functional.linear(activations, weights))

    def _matrix(self, rows: int, columns: int, dtype: str) -> Any:
        torch, kind = self.torch, getattr(self.torch, TYPES[dtype])
        if dtype == "int8":
            return torch.randint(-128, 128, (rows, columns), device="cuda", dtype=kind)
        return torch.randn(rows, columns, device="cuda", dtype=kind)

    def _timed(self, work: Callable[[], Any]) -> float:
        torch, times = self.torch, []
        for _ in range(WARM_UP):
            work()
        for _ in range(RUNS):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            for _ in range(LAUNCHES):
                work()
            end.record()
            torch.cuda.synchronize()
            times.append(1e3 * float(begin.elapsed_time(end)) / LAUNCHES)
        return median(times)


def find_gpu() -> Gpu | str:
    """The GPU at hand, or why there is none."""
    try:
        import torch
        from torch.sparse import to_sparse_semi_structured
    except ImportError:
        return "no torch"
    if not torch.cuda.is_available():
        return "no GPU at hand: nothing measured here"
    return TorchGpu(torch, to_sparse_semi_structured)


def driver() -> str:
    """The version of NVIDIA's driver; empty where it cannot be asked."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.split("\n")[0].strip()
