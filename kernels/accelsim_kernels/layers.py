"""`NMLinear`: a Linear layer with packed N:M weights, on the CPU or on a GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from accelsim_kernels.extras import require
from accelsim_kernels.operators import linear_rows, nm_linear, packed_tensors, tensor_of, words_of
from accelsim_kernels.packing import Packed, pack
from accelsim_kernels.selection import select_nm


class NMLinear(nn.Module):
    """y = x W^T + bias with N of every M weights along the inputs, by SORE's rule; for inference.

    Weights keep their element (float32, float16 or bfloat16). Made by `NMLinear.of(layer, n, m)`. On a GPU
    the layer holds its weights in the layout of `triton_products`, or as torch's own semi-structured tensor
    where `n`:`m` is 2:4 of float16 or bfloat16.
    """

    def __init__(self, packed: Packed, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.n, self.m, self.out_features = packed.pattern.n, packed.pattern.m, packed.outputs
        self.in_features = packed.pattern.length
        self._packed = packed
        values, words = packed_tensors(packed)
        self.register_buffer("values", values)
        self.register_buffer("words", words)
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone(), requires_grad=False)

    @classmethod
    def of(cls, layer: nn.Linear, n: int, m: int, device: str = "cpu") -> nn.Module:
        """The layer with its N:M weights; on a GPU another module of the same numbers."""
        stored = select_nm(words_of(layer.weight.cpu()), n, m)
        if device == "cpu":
            return cls(pack(stored), layer.bias)
        return _gpu_layer(stored, layer, device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., in_features) to (..., out_features), in x's element."""
        if torch.compiler.is_compiling() or (torch.is_grad_enabled() and x.requires_grad):
            found = nm_linear(x, self.values, self.words, self.n, self.m, self.out_features)
        else:
            # What the operator does, without the 30 us that torch needs to reach it.
            found = linear_rows(x, self._packed)
        return found if self.bias is None else found + self.bias


class _GpuLinear(nn.Module):
    def __init__(self, weights: Any, bias: torch.Tensor | None) -> None:
        super().__init__()
        self._weights, self.bias = weights, bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        from accelsim_kernels.triton_products import gpu_matmul

        found = gpu_matmul(self._weights, x.reshape(-1, x.shape[-1])).to(x.dtype)
        found = found.view(*x.shape[:-1], -1)
        return found if self.bias is None else found + self.bias


def _gpu_layer(stored: Any, layer: nn.Linear, device: str) -> nn.Module:
    require("NMLinear on a GPU", "triton")
    bias = None if layer.bias is None else layer.bias.detach().to(device)
    if (stored.n, stored.m) == (2, 4) and layer.weight.dtype in (torch.float16, torch.bfloat16):
        sparse = nn.Linear(layer.in_features, layer.out_features, bias is not None, device=device)
        dense = tensor_of(stored.decode(), layer.weight.dtype).to(device)
        sparse.weight = nn.Parameter(torch.sparse.to_sparse_semi_structured(dense), requires_grad=False)
        sparse.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        return sparse
    from accelsim_kernels.triton_products import gpu_pack

    return _GpuLinear(gpu_pack(stored, device), bias)
