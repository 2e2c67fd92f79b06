"""Weights in packed tensors of their own class (2:4 of torch, quantised ones of libraries), as plain ones.

Their kernels run on other devices only, or hide what they hold; a plain weight with the same values computes
the same products, and its zeros are where theirs are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.sparse import SparseSemiStructuredTensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from accelsim.golden.metadata import from_cutlass
from accelsim.golden.two_four import FORMATS, decode


@contextmanager
def dense_stand_ins(module: nn.Module) -> Iterator[None]:
    """Inside the `with`, every packed weight of `module` is plain; afterwards they are as before."""
    before = replace_packed(module)
    try:
        yield
    finally:
        for owner, name, packed in before:
            if name in owner._parameters:
                owner._parameters[name] = packed
            else:
                owner._buffers[name] = packed


def replace_packed(module: nn.Module) -> list[tuple[nn.Module, str, Any]]:
    """Put plain weights in place of packed ones, and give who had which. ValueError if one stays shut."""
    found = [
        (owner, name, tensor)
        for owner in module.modules()
        for name, tensor in [*owner._parameters.items(), *owner._buffers.items()]
        if _is_packed(tensor)
    ]
    # Weights that layers share stay shared.
    plain: dict[int, nn.Parameter | torch.Tensor] = {}
    for owner, name, packed in found:
        if id(packed) not in plain:
            plain[id(packed)] = opened(packed)
        if name in owner._parameters:
            owner._parameters[name] = nn.Parameter(plain[id(packed)], requires_grad=False)
        else:
            owner._buffers[name] = plain[id(packed)]
    return found


def opened(packed: Any) -> torch.Tensor:
    """The values of a packed tensor as a plain one. ValueError, in one line, if it does not give them."""
    kind = type(packed).__name__
    try:
        with torch.no_grad():
            if isinstance(packed, SparseSemiStructuredTensor):
                plain = _of_semi_structured(packed)
            else:
                plain = (packed.dequantize if hasattr(packed, "dequantize") else packed.to_dense)()
    except Exception as error:  # whatever a library's own tensor raises
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"weights in a {kind} cannot be read on {packed.device}: {said}") from error
    if _is_packed(plain) or plain.shape != packed.shape:
        raise ValueError(f"weights in a {kind} cannot be read: it does not give a plain tensor")
    return plain.detach()


def _of_semi_structured(packed: Any) -> torch.Tensor:
    """2:4 of torch; its own way back needs a GPU unless values and metadata lie apart (CUTLASS)."""
    if packed.packed is not None and packed.meta is not None and packed.meta.dim() == 2:
        return _of_cutlass(packed.packed, packed.meta)
    if packed.packed_t is not None and packed.meta_t is not None and packed.meta_t.dim() == 2:
        # What is packed here is the transpose.
        return _of_cutlass(packed.packed_t, packed.meta_t).t().contiguous()
    if packed.device.type == "cpu":
        raise ValueError("its metadata is laid out for cuSPARSELt; save it as a plain tensor on the GPU")
    dense: torch.Tensor = packed.to_dense()
    return dense


def _of_cutlass(values: torch.Tensor, metadata: torch.Tensor) -> torch.Tensor:
    """Bit for bit; torch's own way back passes float32 through halves and changes some."""
    names = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "tf32", torch.int8: "int8"}
    if values.dtype not in names:
        raise ValueError(f"values must be {', '.join(map(str, names))}, not {values.dtype}")
    form = FORMATS[names[values.dtype]]
    codes = from_cutlass(metadata.cpu().numpy(), form)
    if tuple(values.shape) != (codes.shape[0], codes.shape[1] * form.kept):
        raise ValueError(
            f"{tuple(values.shape)} values must belong to {tuple(metadata.shape)} words of codes"
        )
    words = values.detach().cpu().contiguous().view(getattr(torch, f"int{form.element_bits}")).numpy()
    dense = decode(words.reshape((*codes.shape, form.kept)), codes, form)
    return torch.from_numpy(dense).view(values.dtype).to(values.device)


def _is_packed(tensor: Any) -> bool:
    """A tensor of a class of its own around others."""
    return tensor is not None and bool(is_traceable_wrapper_subclass(tensor))
