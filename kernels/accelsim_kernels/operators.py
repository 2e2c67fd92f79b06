"""Torch operators `accelsim::*`: N:M products, N:M training, Linear and attention in fixed point.

All have fake kernels, so that `torch.compile` and `torch.export` see their shapes; those that training needs
have gradients. On a GPU the N:M product runs in Triton, all else is of the CPU.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from accelsim.golden.integer_attention import AttentionFormat
from accelsim.golden.softmax import SoftmaxFormat
from accelsim_kernels.attention import ROUNDINGS, attend
from accelsim_kernels.fixed_products import matmul_fixed
from accelsim_kernels.packing import ELEMENTS, Packed, Pattern, pack, unpack
from accelsim_kernels.products import matmul
from accelsim_kernels.quantisation import dequantise_rows, quantise_rows
from accelsim_kernels.selection import select_both, select_nm

# How torch holds each element of packed weights. It has no arithmetic on unsigned words, and needs none.
TORCH_ELEMENTS = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "int8": torch.int8,
}
NAMES = {kind: name for name, kind in TORCH_ELEMENTS.items()}

MOST_SUMS = 1 << 23
"""Exact sums that are made together: 64 MB."""


def words_of(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """A CPU tensor as golden has its element: BF16 as uint16 words, all else as itself."""
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        return tensor.contiguous().view(torch.int16).numpy().view(np.uint16)
    return tensor.numpy()


def packed_tensors(packed: Packed) -> tuple[torch.Tensor, torch.Tensor]:
    """Values in their own element, and words as int32."""
    values = torch.from_numpy(packed.values)
    if packed.element in ("fp16", "bf16"):
        values = torch.from_numpy(packed.values.view(np.int16)).view(TORCH_ELEMENTS[packed.element])
    return values, torch.from_numpy(packed.words.view(np.int32))


def packed_of(values: torch.Tensor, words: torch.Tensor, n: int, m: int, length: int, outputs: int) -> Packed:
    """The packed weights that two tensors hold."""
    element = NAMES[values.dtype]
    stored = values if element in ("fp32", "int8") else values.view(torch.int16)
    return Packed(
        pattern=Pattern(n=n, m=m, length=length),
        outputs=outputs,
        element=element,
        values=stored.numpy().view(ELEMENTS[element][1]),
        words=words.numpy().view(np.uint32),
    )


@torch.library.custom_op("accelsim::nm_linear", mutates_args=(), device_types="cpu")
def nm_linear(
    x: torch.Tensor, values: torch.Tensor, words: torch.Tensor, n: int, m: int, outputs: int
) -> torch.Tensor:
    """x (..., length) times packed N:M weights: (..., outputs), in x's element; int8 gives int32."""
    return linear_rows(x, packed_of(values, words, n, m, x.shape[-1], outputs))


def linear_rows(x: torch.Tensor, packed: Packed) -> torch.Tensor:
    """`nm_linear` without a way through torch."""
    shape, kind = x.shape, x.dtype
    readable = x.detach()
    if packed.element != "int8" and kind not in (torch.float32, torch.float16):
        readable = readable.float()
    # Shapes are changed in numpy: torch takes ten times as long, and a small product lasts some 10 us.
    found = matmul(packed, readable.numpy().reshape(math.prod(shape[:-1]), shape[-1]))
    total = torch.from_numpy(np.ascontiguousarray(found).reshape(*shape[:-1], packed.outputs))
    wanted = torch.int32 if packed.element == "int8" else kind
    return total if total.dtype == wanted else total.to(wanted)


@nm_linear.register_fake
def _(x: Any, values: Any, words: Any, n: int, m: int, outputs: int) -> Any:
    kind = torch.int32 if values.dtype == torch.int8 else x.dtype
    return x.new_empty((*x.shape[:-1], outputs), dtype=kind)


@torch.library.custom_op("accelsim::nm_dense", mutates_args=(), device_types="cpu")
def nm_dense(
    values: torch.Tensor, words: torch.Tensor, n: int, m: int, length: int, outputs: int
) -> torch.Tensor:
    """The dense (outputs, length) weights of a packed pair."""
    return tensor_of(unpack(packed_of(values, words, n, m, length, outputs)).decode(), values.dtype)


@nm_dense.register_fake
def _(values: Any, words: Any, n: int, m: int, length: int, outputs: int) -> Any:
    return values.new_empty((outputs, length))


def _nm_linear_saved(ctx: Any, inputs: Any, output: Any) -> None:
    x, values, words, *ctx.numbers = inputs
    ctx.save_for_backward(values, words)
    ctx.length = x.shape[-1]


def _nm_linear_gradient(ctx: Any, gradient: torch.Tensor) -> Any:
    """Of the activations; packed weights are for inference and have none."""
    n, m, outputs = ctx.numbers
    dense = nm_dense(*ctx.saved_tensors, n, m, ctx.length, outputs)
    return gradient @ dense.to(gradient.dtype), None, None, None, None, None


nm_linear.register_autograd(_nm_linear_gradient, setup_context=_nm_linear_saved)


@torch.library.custom_op("accelsim::nm_weights", mutates_args=(), device_types="cpu")
def nm_weights(weight: torch.Tensor, n: int, m: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A dense (outputs, inputs) weight with zeros by SORE's rule: along the inputs, and along the outputs.

    Both from one reading, as a training step with N:M in both directions needs them; of float32 weights the
    FP16 copy is read, as SORE does, and given back.
    """
    forward, backward = select_both(words_of(_copy(weight)), n, m)
    kind = _copy(weight).dtype
    forward_weight, backward_weight = (tensor_of(each.decode(), kind) for each in (forward, backward))
    return forward_weight.to(weight.dtype), backward_weight.t().to(weight.dtype).contiguous()


@nm_weights.register_fake
def _(weight: Any, n: int, m: int) -> Any:
    return torch.empty_like(weight), torch.empty_like(weight)


@torch.library.custom_op("accelsim::nm_train_linear", mutates_args=(), device_types="cpu")
def nm_train_linear(x: torch.Tensor, weight: torch.Tensor, n: int, m: int) -> torch.Tensor:
    """BDWP's Linear: weights pruned along the inputs here, along the outputs in the backward product.

    The gradient of the weights is dense, as the weights are.
    """
    packed = pack(select_nm(words_of(_copy(weight)), n, m))
    return nm_linear(x.detach(), *packed_tensors(packed), n, m, weight.shape[0])


@nm_train_linear.register_fake
def _(x: Any, weight: Any, n: int, m: int) -> Any:
    return x.new_empty((*x.shape[:-1], weight.shape[0]))


def _nm_train_saved(ctx: Any, inputs: Any, output: Any) -> None:
    x, weight, ctx.n, ctx.m = inputs
    ctx.save_for_backward(x, weight)


def _nm_train_gradient(ctx: Any, gradient: torch.Tensor) -> Any:
    x, weight = ctx.saved_tensors
    rows = gradient.reshape(-1, gradient.shape[-1])
    backward = nm_weights(weight, ctx.n, ctx.m)[1]
    return gradient @ backward.to(gradient.dtype), rows.t() @ x.reshape(-1, x.shape[-1]), None, None


nm_train_linear.register_autograd(_nm_train_gradient, setup_context=_nm_train_saved)


@torch.library.custom_op("accelsim::fixed_linear", mutates_args=(), device_types="cpu")
def fixed_linear(
    x: torch.Tensor, words: torch.Tensor, scales: torch.Tensor, bits: int, safe: int, by_row: bool
) -> torch.Tensor:
    """x (..., length), quantised to `bits`, times quantised weights (`fixed_products.pack_pairs`), exactly.

    scales: (outputs,), of the weights. by_row: a scale for each row of x, else one for all of x.
    """
    rows = x.detach().reshape(-1, x.shape[-1]).float().numpy()
    outputs = scales.shape[0]
    raw, row_scales = quantise_rows(rows if by_row else rows.reshape(1, -1), bits)
    raw, row_scales = raw.reshape(rows.shape), np.broadcast_to(row_scales, len(rows)).copy()
    found = np.empty((len(rows), outputs), np.float32)
    step = max(8, MOST_SUMS // max(outputs, 1) // 8 * 8)
    for first in range(0, len(rows), step):
        some = slice(first, first + step)
        total = matmul_fixed(raw[some], words.numpy(), outputs, safe)
        dequantise_rows(total, row_scales[some], scales.numpy(), found[some])
    return torch.from_numpy(found).to(x.dtype).view(*x.shape[:-1], outputs)


@fixed_linear.register_fake
def _(x: Any, words: Any, scales: Any, bits: int, safe: int, by_row: bool) -> Any:
    return x.new_empty((*x.shape[:-1], scales.shape[0]))


@torch.library.custom_op("accelsim::fixed_attention", mutates_args=(), device_types="cpu")
def fixed_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    valid: torch.Tensor | None,
    scale: float,
    form: list[int],
    threshold: float,
    value_keep: float,
) -> torch.Tensor:
    """Attention of (batch, heads, queries, dim) with (batch, KV heads, keys, dim) in fixed point.

    Q, K and V have one scale for each head of each sequence. valid: (batch or 1, heads or 1, queries, keys),
    True where a query may see a key; one that sees none is padding, and sees all. form: `numbers_of` an
    `AttentionFormat`. Returns (batch, queries, heads, value_dim) in query's element.
    """
    numbers = _format(form, threshold)
    batch, heads, queries, _ = query.shape
    inside = None
    if valid is not None:
        # Keys that no query sees take no part in a scale.
        key, value = (each * valid.any(dim=(1, 2))[:, None, :, None] for each in (key, value))
        seen = valid | ~valid.any(dim=-1, keepdim=True)
        inside = seen.expand(batch, heads, queries, key.shape[2]).reshape(-1, queries, key.shape[2]).numpy()
    raw, scales = zip(*(_by_head(*each) for each in _widths(query, key, value, numbers)), strict=True)
    group = heads // key.shape[1]
    score_scales = scales[0] * np.repeat(scales[1], group) * scale
    outputs = attend(*raw, score_scales, numbers, value_keep, inside).outputs
    steps = np.repeat(scales[2], group) / (1 << numbers.output_fraction_bits)
    real = torch.from_numpy((outputs * steps[:, None, None]).astype(np.float32))
    return real.view(batch, heads, queries, -1).transpose(1, 2).contiguous().to(query.dtype)


@fixed_attention.register_fake
def _(
    query: Any, key: Any, value: Any, valid: Any, scale: Any, form: Any, threshold: Any, value_keep: Any
) -> Any:
    batch, heads, queries, _ = query.shape
    return query.new_empty((batch, queries, heads, value.shape[-1]))


def numbers_of(form: AttentionFormat) -> list[int]:
    """All of a format but its threshold, as `fixed_attention` takes it."""
    softmax = form.softmax
    return [
        form.msb_bits,
        form.lsb_bits,
        form.value_bits,
        form.score_integer_bits,
        form.output_fraction_bits,
        softmax.score_fraction_bits,
        softmax.exp_fraction_bits,
        softmax.degree,
        softmax.probability_fraction_bits,
        softmax.reciprocal_bits or 0,
        ROUNDINGS[softmax.rounding],
    ]


def _format(numbers: list[int], threshold: float) -> AttentionFormat:
    msb, lsb, value, score, output, fraction, exponent, degree, probability, reciprocal, rounding = numbers
    softmax = SoftmaxFormat(
        score_fraction_bits=fraction,
        exp_fraction_bits=exponent,
        degree=degree,
        probability_fraction_bits=probability,
        reciprocal_bits=reciprocal or None,
        rounding=list(ROUNDINGS)[rounding],
    )
    return AttentionFormat(
        msb_bits=msb,
        lsb_bits=lsb,
        value_bits=value,
        threshold=threshold,
        score_integer_bits=score,
        output_fraction_bits=output,
        softmax=softmax,
    )


def _copy(weight: torch.Tensor) -> torch.Tensor:
    """What SORE reads: 16 bits."""
    return weight.half() if weight.dtype == torch.float32 else weight


def _widths(query: Any, key: Any, value: Any, form: AttentionFormat) -> list[tuple[torch.Tensor, int]]:
    width = form.msb_bits + form.lsb_bits
    return [(query, width), (key, width), (value, form.value_bits)]


def _by_head(tensor: torch.Tensor, bits: int) -> tuple[Any, Any]:
    """Integers (batch x heads, tokens, dim) and a scale for each of them."""
    real = tensor.detach().float().reshape(-1, *tensor.shape[2:])
    raw, scales = quantise_rows(real.reshape(len(real), -1).numpy(), bits)
    return raw.reshape(real.shape), scales


def tensor_of(array: Any, kind: torch.dtype) -> torch.Tensor:
    """An array in golden's element as a tensor."""
    array = np.ascontiguousarray(array)
    return (
        torch.from_numpy(array.view(np.int16)).view(kind)
        if kind == torch.bfloat16
        else torch.from_numpy(array)
    )
