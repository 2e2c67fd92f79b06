"""The arithmetic of `accelsim.golden` as fast code for the processors that users own.

On numpy arrays: N:M products (`pack`, `matmul`), selections (`select_nm`, `select_both`, `top_k_mask`,
`top_k_indices`) and pruned attention in fixed point (`attend`). With torch (extra `kernels`) also
`hardware_arithmetic`, which runs a whole model as the machine does, and the operators of
`accelsim_kernels.operators`.
"""

from __future__ import annotations

from typing import Any

from accelsim_kernels.attention import Attended, attend
from accelsim_kernels.packing import Packed, Pattern, pack, unpack
from accelsim_kernels.products import matmul
from accelsim_kernels.selection import select_both, select_nm, top_k_indices, top_k_mask

__all__ = [
    "Arithmetic",
    "Attended",
    "Packed",
    "Pattern",
    "attend",
    "hardware_arithmetic",
    "matmul",
    "pack",
    "select_both",
    "select_nm",
    "top_k_indices",
    "top_k_mask",
    "unpack",
]

OF_TORCH = ("Arithmetic", "hardware_arithmetic")
"""Names that need torch, and are imported when they are first asked for."""


def __getattr__(name: str) -> Any:
    if name not in OF_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from accelsim_kernels.extras import require

    require(name, "torch")
    from accelsim_kernels import hardware

    return getattr(hardware, name)
