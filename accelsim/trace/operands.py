"""What an operator's tensors tell by themselves: type, zeros, copies, and whether they look ahead.

Tensors on the meta device have shapes only; they answer as dense, all different and not causal.
"""

from __future__ import annotations

from math import gcd
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from accelsim.golden.formats import Bitmap

DTYPES = {
    torch.float64: "fp64",
    torch.float32: "fp32",
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
    torch.float8_e4m3fn: "fp8",
    torch.float8_e5m2: "fp8",
    torch.int8: "int8",
    torch.uint8: "int8",
}


def operands(tree: Any) -> list[torch.Tensor]:
    """The tensors among an operator's arguments or results, which are plain sequences and dictionaries."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list | tuple) else ()
    found: list[torch.Tensor] = []
    for part in parts:
        if isinstance(part, torch.Tensor):
            found.append(part)
        elif isinstance(part, list | tuple | dict):
            found += operands(part)
    return found


def tensors_of(tree: Any) -> list[torch.Tensor]:
    """The tensors among what a module takes or gives, inside any registered container."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def dtype_of(tensor: torch.Tensor) -> str:
    """The word of a workload for a tensor's type; torch's own where there is none."""
    return DTYPES.get(tensor.dtype, str(tensor.dtype).removeprefix("torch."))


def mask_of(kernel: torch.Tensor) -> Bitmap | None:
    """Which weights are not zero; None when none is, or when the weights are shapes only."""
    if kernel.device.type == "meta":
        return None
    kept = kernel.detach() != 0
    return None if bool(kept.all()) else Bitmap.pack(kept.cpu().numpy())


def equal_neighbours(matrices: torch.Tensor) -> int:
    """How many neighbours of (count, ...) are copies of one another, in runs of this length all along."""
    count = int(matrices.shape[0])
    if matrices.device.type == "meta" or count < 2:
        return 1
    # A scratch model with weights of zero shares nothing on purpose.
    copies = (matrices[1:] == matrices[:-1]).flatten(1).all(1) & matrices[1:].flatten(1).any(1)
    starts = [0, *(index + 1 for index, copy in enumerate(copies.tolist()) if not copy)]
    return gcd(count, *starts)


def is_causal(probabilities: torch.Tensor) -> bool:
    """More than one row, and nothing right of the diagonal."""
    if probabilities.device.type == "meta" or probabilities.dim() < 2 or probabilities.shape[-2] < 2:
        return False
    if probabilities.shape[-1] != probabilities.shape[-2]:
        return False
    # The first row tells most; the rest goes block by block, without a copy of all scores.
    size, step = probabilities.shape[-1], 256
    if bool(probabilities[..., 0, 1:].any()):
        return False
    for first in range(0, size, step):
        rows = probabilities[..., first : first + step, first:]
        if bool(rows[..., step:].any()) or bool(rows[..., :step].triu(1).any()):
            return False
    return True


def masks_the_future(mask: torch.Tensor | None) -> bool:
    """Whether a mask given to a fused attention, Boolean or added, shows nothing right of the diagonal."""
    if mask is None or mask.device.type == "meta" or mask.dim() < 2 or mask.shape[-2] < 2:
        return False
    if mask.shape[-1] != mask.shape[-2]:
        return False
    shown = mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min / 2
    return not bool(shown.triu(1).any())
