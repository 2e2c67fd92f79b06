"""Quantised layers of `torch.ao`: their weights lie in packed objects, which are opened here.

Linear layers and convolutions, dynamic and static, int8 and fp16. A weight is zero where its integer is the
zero point.
"""

from __future__ import annotations

from typing import Any

import torch

from accelsim.trace.counting import Bound
from accelsim.trace.products import Lowered, convolution

NAMESPACES = ("quantized", "_quantized", "onednn")


def quantised(packet: Any, call: Bound, result: Any) -> list[Lowered]:
    """The product of a quantised layer; empty if the operator is none, or its weight cannot be opened."""
    if str(packet._qualified_op_name).partition("::")[0] not in NAMESPACES:
        return []
    rows = next((value for value in call.values() if isinstance(value, torch.Tensor)), None)
    packed: Any = next((value for value in call.values() if isinstance(value, torch.ScriptObject)), None)
    if rows is None or packed is None or not isinstance(result, torch.Tensor):
        return []
    try:
        weight = _opened(packed)
    except RuntimeError:
        return []
    dtype = "int8" if weight.is_quantized else "fp16"
    plain = weight.dequantize() if weight.is_quantized else weight.to(torch.float16)
    if plain.dim() == 2:
        count = int(rows.numel()) // int(plain.shape[1])
        return [Lowered(weight=plain, kernel=plain, m=count, dtype=dtype)]
    geometry = {
        "stride": packed.stride(),
        "padding": packed.padding(),
        "dilation": packed.dilation(),
        "transposed": packed.transpose(),
        "groups": packed.groups(),
    }
    lowered = convolution({"input": rows, "weight": plain, **geometry}, result)
    return [Lowered(**{**vars(lowered), "dtype": dtype})]


def _opened(packed: Any) -> torch.Tensor:
    """The weight in packed parameters. RuntimeError if they are of a kind that does not give it back."""
    if "Linear" not in packed._type().name():
        weight: torch.Tensor = packed.unpack()[0]
        return weight
    try:
        weight = torch.ops.quantized.linear_unpack(packed)[0]
    except RuntimeError:
        weight = torch.ops.quantized.linear_unpack_fp16(packed)[0]
    return weight
