"""N:M products on a GPU, in Triton: gathered activations for one or two rows, tensor cores for more.

Weights lie row by row: N values of each group side by side, and their indices two to a byte (one byte each
for M above 16). Few rows are bound by the bytes of the weights, so that a look-up costs nothing. For more
rows a tile of weights is made dense in registers, where the tensor core takes it.
Runs on any machine under TRITON_INTERPRET=1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl

from accelsim.golden.formats import NM
from accelsim_kernels.packing import Pattern, element_of

MOST_GATHERED = 2
"""Rows for which weights are read once each, and activations gathered."""

KINDS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "int8": torch.int8}


@dataclass(frozen=True, kw_only=True, eq=False)
class GpuPacked:
    """values: (outputs, groups x N); places: (outputs, bytes), indices of 4 or 8 bits."""

    pattern: Pattern
    outputs: int
    values: torch.Tensor
    places: torch.Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of values and indices."""
        return self.values.nbytes + self.places.nbytes


def gpu_pack(weights: NM, device: torch.device | str) -> GpuPacked:
    """Golden's N:M weights of a matrix on a device."""
    pattern = Pattern(n=weights.n, m=weights.m, length=weights.length)
    kind = KINDS[element_of(weights.values.dtype)]
    outputs = weights.values.shape[0]
    flat = np.ascontiguousarray(weights.values).reshape(outputs, pattern.groups * pattern.n)
    values = (
        torch.from_numpy(flat.view(np.int16)).view(kind) if kind == torch.bfloat16 else torch.from_numpy(flat)
    )
    places = weights.indices.reshape(outputs, pattern.groups * pattern.n).astype(np.uint8)
    if not pattern.wide:
        places = np.pad(places, ((0, 0), (0, places.shape[1] % 2)))
        places = places[:, ::2] | places[:, 1::2] << 4
    return GpuPacked(
        pattern=pattern,
        outputs=outputs,
        values=values.to(device),
        places=torch.from_numpy(np.ascontiguousarray(places)).to(device),
    )


def gpu_matmul(weights: GpuPacked, activations: torch.Tensor) -> torch.Tensor:
    """activations (rows, length) times weights (outputs, length): (rows, outputs), float32 or int32.

    ValueError for shapes that do not fit.
    """
    pattern, integers = weights.pattern, weights.values.dtype == torch.int8
    if activations.dim() != 2 or activations.shape[1] != pattern.length:
        raise ValueError(
            f"activations must be (rows, {pattern.length}) as the weights, "
            f"not of shape {tuple(activations.shape)}"
        )
    rows = activations.shape[0]
    sums = torch.int32 if integers else torch.float32
    total = torch.zeros((rows, weights.outputs), dtype=sums, device=activations.device)
    if not total.numel() or not pattern.groups:
        return total
    activations = activations.contiguous()
    numbers = (weights.values, weights.places, activations, total, rows, weights.outputs, pattern.length)
    fixed: dict[str, Any] = {"N": pattern.n, "M": pattern.m, "NARROW": not pattern.wide, "SUMS": _kind(sums)}
    if rows <= MOST_GATHERED:
        grid = (triton.cdiv(weights.outputs, 4), rows)
        _gathered[grid](
            *numbers, pattern.groups * pattern.n, weights.places.shape[1], OUTPUTS=4, SLOTS=512, **fixed
        )
        return total
    width = triton.next_power_of_2(pattern.m)
    grid = (triton.cdiv(weights.outputs, 64), triton.cdiv(rows, 16))
    _expanded[grid](
        *numbers,
        pattern.groups,
        weights.places.shape[1],
        WIDTH=width,
        OUTPUTS=64,
        ROWS=16,
        GROUPS=max(1, 64 // width),
        OPERAND=_kind(_operand(weights.values.dtype, activations.dtype)),
        **fixed,
    )
    return total


def _operand(left: torch.dtype, right: torch.dtype) -> torch.dtype:
    """What the tensor core is given: both as they are, or both in float32."""
    # The interpreter would multiply the words of BF16 and not what they stand for.
    words = left == torch.bfloat16 and triton.knobs.runtime.interpret
    return left if left == right and not words else torch.float32


def _kind(kind: torch.dtype) -> Any:
    return getattr(tl, str(kind).removeprefix("torch."))


@triton.jit
def _places(places, row, slot, stride, inside, NARROW: tl.constexpr):
    """Indices in their groups of some slots of some rows."""
    if NARROW:
        pair = tl.load(places + row * stride + slot // 2, mask=inside, other=0)
        return (pair.to(tl.int32) >> (slot % 2) * 4) & 15
    return tl.load(places + row * stride + slot, mask=inside, other=0).to(tl.int32)


@triton.jit
def _gathered(
    values, places, activations, total, rows, outputs, length, slots, stride,
    N: tl.constexpr, M: tl.constexpr, NARROW: tl.constexpr, SUMS: tl.constexpr,
    OUTPUTS: tl.constexpr, SLOTS: tl.constexpr,
):  # fmt: skip
    output = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS)[:, None]
    row = tl.program_id(1)
    sums = tl.zeros((OUTPUTS, SLOTS), dtype=SUMS)
    for first in range(0, slots, SLOTS):
        slot = first + tl.arange(0, SLOTS)[None, :]
        inside = (output < outputs) & (slot < slots)
        column = slot // N * M + _places(places, output, slot, stride, inside, NARROW)
        weight = tl.load(values + output.to(tl.int64) * slots + slot, mask=inside, other=0)
        given = tl.load(activations + row * length + column, mask=inside & (column < length), other=0)
        sums += weight.to(SUMS) * given.to(SUMS)
    found = tl.sum(sums, axis=1)
    index = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS)
    tl.store(total + row * outputs + index, found, mask=index < outputs)


@triton.jit
def _expanded(
    values, places, activations, total, rows, outputs, length, groups, stride,
    N: tl.constexpr, M: tl.constexpr, NARROW: tl.constexpr, SUMS: tl.constexpr, WIDTH: tl.constexpr,
    OUTPUTS: tl.constexpr, ROWS: tl.constexpr, GROUPS: tl.constexpr, OPERAND: tl.constexpr,
):  # fmt: skip
    output = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS)[:, None]
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)[None, :]
    position = tl.arange(0, WIDTH)[None, None, :]
    sums = tl.zeros((OUTPUTS, ROWS), dtype=SUMS)
    for first in range(0, groups, GROUPS):
        group = first + tl.arange(0, GROUPS)[None, :]
        inside = (output < outputs) & (group < groups)
        dense = tl.zeros((OUTPUTS, GROUPS, WIDTH), dtype=OPERAND)
        for kept in tl.static_range(N):
            slot = group * N + kept
            place = _places(places, output, slot, stride, inside, NARROW)
            weight = tl.load(values + output.to(tl.int64) * (groups * N) + slot, mask=inside, other=0)
            dense += tl.where(position == place[:, :, None], weight[:, :, None].to(OPERAND), 0.0).to(OPERAND)
        wide = tl.arange(0, GROUPS * WIDTH)[:, None]
        column = (first + wide // WIDTH) * M + wide % WIDTH
        readable = (wide % WIDTH < M) & (column < length) & (row < rows)
        given = tl.load(activations + row.to(tl.int64) * length + column, mask=readable, other=0)
        operand = tl.reshape(dense, (OUTPUTS, GROUPS * WIDTH))
        sums += tl.dot(operand, given.to(OPERAND), input_precision="ieee", out_dtype=SUMS)
    tl.store(total + row.to(tl.int64) * outputs + output, sums, mask=(row < rows) & (output < outputs))
