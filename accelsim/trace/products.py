"""Operators with multiply-accumulates, each as the products it stands for.

A `Product` is `count` times (m x k) by (k x n), as two tensors; what they are (weights, activations) is
decided by the recorder, which knows where tensors come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch

from accelsim.trace.counting import Bound

aten = torch.ops.aten


@dataclass(frozen=True, kw_only=True)
class Product:
    """`left` (count, m, k), or any shape of as many elements, by `right` (count, k, n)."""

    left: torch.Tensor
    right: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """A product whose activation side exists only as a shape; `kernel` is (n, k) or (count, n, k).

    `weight` is the tensor that `kernel` was laid out from, by which the layer is named; `part` is added to
    that name where a weight holds several layers (experts). `dtype`: as it is stored, if not as in `weight`.
    """

    weight: torch.Tensor
    kernel: torch.Tensor
    m: int
    count: int = 1
    geometry: Mapping[str, int | str] = field(default_factory=dict)
    part: str = ""
    dtype: str = ""


def bound(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by name, in the schema's order and with its defaults."""
    names = [argument.name for argument in function._schema.arguments]
    values = {a.name: a.default_value for a in function._schema.arguments if a.has_default_value()}
    values |= {**dict(zip(names, args, strict=False)), **kwargs}
    return {name: values[name] for name in names if name in values}


def _matrices(left: str, right: str) -> Callable[[Bound], list[Product]]:
    def read(call: Bound) -> list[Product]:
        a, b = call[left], call[right]
        # A vector is a matrix of one row on the left, of one column on the right.
        a = a.unsqueeze(0) if a.dim() == 1 else a
        b = b.unsqueeze(1) if b.dim() == 1 else b
        return [Product(left=a if a.dim() == 3 else a[None], right=b if b.dim() == 3 else b[None])]

    return read


def _linear(call: Bound) -> list[Product]:
    rows, weight = call["input"], call["weight"]
    # Rows stay as they are: laying them out anew could copy, and hide where they come from.
    rows = rows if rows.dim() >= 3 else rows.reshape(1, -1, rows.shape[-1])
    return [Product(left=rows, right=weight.reshape(1, -1, weight.shape[-1]).transpose(1, 2))]


def _by_rows(call: Bound) -> list[Product]:
    """The weight as it is stored, (n, k)."""
    return [Product(left=call["self"][None], right=call["mat2"].t()[None])]


PRODUCTS: Mapping[Any, Callable[[Bound], list[Product]]] = {
    aten.mm: _matrices("self", "mat2"),
    aten.bmm: _matrices("self", "mat2"),
    aten.addmm: _matrices("mat1", "mat2"),
    aten.addmm_: _matrices("mat1", "mat2"),
    aten._addmm_activation: _matrices("mat1", "mat2"),
    aten.baddbmm: _matrices("batch1", "batch2"),
    aten.baddbmm_: _matrices("batch1", "batch2"),
    aten.addbmm: _matrices("batch1", "batch2"),
    aten.addbmm_: _matrices("batch1", "batch2"),
    aten.mv: _matrices("self", "vec"),
    aten.addmv: _matrices("mat", "vec"),
    aten.addmv_: _matrices("mat", "vec"),
    aten.dot: _matrices("self", "tensor"),
    aten.vdot: _matrices("self", "other"),
    aten._sparse_mm: _matrices("sparse", "dense"),
    aten._sparse_addmm: _matrices("mat1", "mat2"),
    aten.sspaddmm: _matrices("mat1", "mat2"),
    aten._int_mm: _matrices("self", "mat2"),
    aten._weight_int8pack_mm: _by_rows,
    aten._scaled_mm: _matrices("self", "mat2"),
    aten.linear: _linear,
}


def convolution(call: Bound, output: torch.Tensor) -> Lowered:
    """A convolution as a product over its patches, its groups as `count`.

    Forward: m = batch x output positions, n = output channels of a group, k = kernel positions x input
    channels of a group, input channels innermost, so that N:M groups lie along the channels at a fixed tap.
    Transposed: m = batch x input positions, n = output channels of a group x kernel positions, k = input
    channels of a group; the overlapping sums that follow are additions only.
    """
    data, weight, groups = call["input"], call["weight"], int(call["groups"])
    transposed = bool(call["transposed"])
    taps = list(weight.shape[2:])
    dimensions = len(taps)
    letters = {1: ["kw"], 2: ["kh", "kw"], 3: ["kd", "kh", "kw"]}.get(
        dimensions, [f"k{axis}" for axis in range(dimensions)]
    )
    axes = list(range(2, 2 + dimensions))
    if transposed:
        grouped = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], *taps)
        kernel = grouped.permute(0, 2, *[axis + 1 for axis in axes], 1).reshape(
            groups, weight.shape[1] * prod(taps), -1
        )
        positions, out_channels = prod(data.shape[2:]), int(weight.shape[1]) * groups
    else:
        kernel = weight.permute(0, *axes, 1).reshape(groups, weight.shape[0] // groups, -1)
        positions, out_channels = prod(output.shape[2:]), int(weight.shape[0])
    batch = int(data.shape[0])
    geometry: dict[str, int | str] = {
        "kind": "transposed convolution" if transposed else "convolution",
        "batch": batch,
        "input_channels": int(data.shape[1]),
        "output_channels": out_channels,
        "groups": groups,
        "kernel": _sizes(taps),
        "stride": _sizes(call["stride"], dimensions),
        "padding": _sizes(call["padding"], dimensions),
        "dilation": _sizes(call["dilation"], dimensions),
        "input": _sizes(data.shape[2:]),
        "output": _sizes(output.shape[2:]),
        "order": ",".join(["co", *letters, "ci"]),
    }
    return Lowered(
        weight=weight,
        kernel=kernel[0] if groups == 1 else kernel,
        m=batch * positions,
        count=groups,
        geometry=geometry,
    )


def recurrent(call: Bound) -> list[Lowered]:
    """One direction of one fused recurrent layer: all inputs at once, then one product a step.

    Each step is a product of its own, as where torch runs them one by one: it waits for the state before.
    """
    steps, batch, _ = (int(size) for size in call["input"].shape)
    from_input, from_state = call["weight0"], call["weight1"]
    step = Lowered(weight=from_state, kernel=from_state, m=batch)
    return [Lowered(weight=from_input, kernel=from_input, m=steps * batch), *[step] * steps]


def bilinear(call: Bound) -> tuple[Lowered, Product] | None:
    """x1 W x2 of `nn.Bilinear`: all rows of x1 by the weight (n, k1, k2), then each by its row of x2.

    None if the operator was called in another form.
    """
    left, weight, right = call["i1"], call["i2"], call["i3"]
    form = [list(call[name]) for name in ("expand1", "expand2", "expand3", "sumdim")]
    if form != [[1, 3], [0], [1, 2], [2, 3]] or weight.dim() != 3:
        return None
    outputs, first, second = (int(size) for size in weight.shape)
    between = weight.new_zeros(1).expand(int(right.shape[0]), second, outputs)
    return (
        Lowered(weight=weight, kernel=weight.transpose(1, 2).reshape(-1, first), m=int(left.shape[0])),
        Product(left=right.unsqueeze(1), right=between),
    )


def grouped(call: Bound) -> list[Lowered]:
    """Rows sorted by expert, (rows, k), by one weight each of (experts, k, n): a product for every expert.

    How many rows an expert gets is decided by the data; experts without rows do no work. Empty if the
    operator was called in another form, or the ends of the groups are shapes only.
    """
    rows, weights, ends = (*call.values(),)[:3]
    if rows.dim() != 2 or weights.dim() != 3 or ends is None or ends.device.type == "meta":
        return []
    counts = torch.diff(ends, prepend=ends.new_zeros(1)).tolist()
    return [
        Lowered(weight=weights, kernel=weights[expert].t(), m=int(count), part=f".{expert}")
        for expert, count in enumerate(counts)
        if count
    ]


CONVOLUTIONS = (
    aten.convolution,
    aten._convolution,
    aten.cudnn_convolution,
    aten.mkldnn_convolution,
    aten.convolution_overrideable,
)

RECURRENT = (aten.mkldnn_rnn_layer,)

GROUPED = ("aten::_grouped_mm", "transformers::grouped_mm_fallback")

ATTENTIONS = (
    aten.scaled_dot_product_attention,
    aten._scaled_dot_product_flash_attention,
    aten._scaled_dot_product_flash_attention_for_cpu,
    aten._scaled_dot_product_efficient_attention,
    aten._scaled_dot_product_cudnn_attention,
    aten._scaled_dot_product_fused_attention_overrideable,
)


def _sizes(values: Sequence[int], repeat: int = 1) -> str:
    sizes = [int(value) for value in values]
    return "x".join(str(n) for n in (sizes * repeat if len(sizes) == 1 else sizes))
