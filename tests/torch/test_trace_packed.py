"""Packed weights, quantised layers, and modules that hide what runs are traced as what they compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402, N812
from torch import nn  # noqa: E402

from accelsim.models.stand_ins import opened  # noqa: E402
from accelsim.trace import trace  # noqa: E402
from accelsim.trace.tracing import record, still  # noqa: E402
from accelsim.workload import Attention, Matmul, Unknown  # noqa: E402

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore"),  # torch calls all of this a prototype, or old
]


def drawn(*shape: int) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


class Call(nn.Module):
    """A module of one function; tensors become parameters, modules children."""

    def __init__(self, function: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.function = function
        for name, value in parts.items():
            setattr(self, name, nn.Parameter(value) if isinstance(value, torch.Tensor) else value)

    def forward(self, *inputs: Any) -> Any:
        return self.function(self, *inputs)


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(16, 32), nn.Linear(32, 8)

    def forward(self, rows: Any) -> Any:
        return self.second(self.first(rows).relu())


class Pictures(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.enter, self.leave = torch.ao.quantization.QuantStub(), torch.ao.quantization.DeQuantStub()
        self.wide = nn.Conv2d(3, 8, 3)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8, stride=2)
        self.out = nn.Linear(8 * 36, 4)

    def forward(self, pixels: Any) -> Any:
        hidden = self.depthwise(self.wide(self.enter(pixels)).relu())
        return self.leave(self.out(hidden.flatten(1)))


X = drawn(2, 10, 16)


def kept_in_groups(weight: Any, most: int, size: int) -> Any:
    groups = weight.reshape(-1, size)
    best = groups.abs().topk(most, dim=1).indices
    return (groups * torch.zeros_like(groups).scatter(1, best, 1)).reshape(weight.shape)


def semi_structured(weight: Any) -> Any:
    """The packed form of torch's own conversion, which is plain torch; its constructor asks for a GPU."""
    from torch.sparse import SparseSemiStructuredTensorCUTLASS
    from torch.sparse._semi_structured_conversions import sparse_semi_structured_from_dense_cutlass

    values, metadata = sparse_semi_structured_from_dense_cutlass(weight)
    return SparseSemiStructuredTensorCUTLASS(
        weight.shape,
        packed=values,
        meta=metadata,
        packed_t=None,
        meta_t=None,
        compressed_swizzled_bitmask=None,
    )


@pytest.mark.parametrize(("dtype", "size"), [("float16", 4), ("bfloat16", 4), ("float32", 2)])
def test_a_semi_structured_weight_has_the_mask_and_the_output_of_the_plain_one(dtype: str, size: int) -> None:
    kind = getattr(torch, dtype)
    weight = kept_in_groups(drawn(64, 128), size // 2, size).to(kind)
    linear, plain = (nn.Linear(128, 64, bias=False, dtype=kind) for _ in range(2))
    linear.weight = nn.Parameter(packed := semi_structured(weight), requires_grad=False)
    plain.weight = nn.Parameter(weight)
    rows = drawn(5, 128).to(kind)
    assert trace(linear, rows) == trace(plain, rows)
    (layer,) = trace(linear, rows).layers
    assert isinstance(layer, Matmul)
    assert layer.mask is not None
    assert np.array_equal(layer.mask.unpack(), (weight != 0).numpy())
    assert type(linear.weight) is type(packed)


@pytest.mark.parametrize(("dtype", "size"), [("float16", 4), ("bfloat16", 4), ("float32", 2), ("int8", 4)])
def test_a_semi_structured_weight_is_opened_bit_for_bit(dtype: str, size: int) -> None:
    # Random words; PyTorch's own way back changes one float32 in seventy.
    kind = getattr(torch, dtype)
    words = np.random.default_rng(0).integers(0, 256, (64, 128 * kind.itemsize), dtype=np.uint8)
    weight = torch.from_numpy(words).view(kind)
    # PyTorch's way there changes NaNs of 16 bits.
    kept = kept_in_groups(drawn(64, 128), size // 2, size) != 0
    weight = torch.where(kept & ~weight.isnan() & (weight != 0), weight, torch.zeros((), dtype=kind))
    assert torch.equal(opened(semi_structured(weight)).view(torch.uint8), weight.view(torch.uint8))


def test_metadata_that_name_a_place_twice_are_refused_in_one_line() -> None:
    packed = semi_structured(kept_in_groups(drawn(64, 128), 2, 4).half())
    packed.meta[0, 0] = 0
    with pytest.raises(
        ValueError, match=r"must name two positions, not be 0x0 \(group \(0, 0\)\)"
    ) as refusal:
        opened(packed)
    assert "\n" not in str(refusal.value)


def test_a_weight_that_only_a_gpu_can_open_is_refused_in_one_line() -> None:
    from torch.sparse import SparseSemiStructuredTensorCUSPARSELT

    linear = nn.Linear(128, 64).half()
    packed = SparseSemiStructuredTensorCUSPARSELT(
        torch.Size([64, 128]),
        packed=torch.zeros(64, 72, dtype=torch.float16),
        meta=None,
        packed_t=None,
        meta_t=None,
        compressed_swizzled_bitmask=None,
    )
    linear.weight = nn.Parameter(packed, requires_grad=False)
    with pytest.raises(ValueError, match="cannot be read on cpu: its metadata is laid out for") as refusal:
        trace(linear, drawn(5, 128).half())
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("dtype", "named"), [(torch.qint8, "int8"), (torch.float16, "fp16")])
def test_a_dynamic_quantised_linear_is_its_product_with_its_mask(dtype: Any, named: str) -> None:
    module = Two()
    with torch.no_grad():
        module.first.weight[:, ::2] = 0
    quantised = torch.ao.quantization.quantize_dynamic(module, {nn.Linear}, dtype=dtype)
    with still(quantised):
        layers = record(quantised, X)
    assert [(layer.name, layer.macs) for layer in layers] == [
        (layer.name, layer.macs) for layer in trace(module, X).dense().layers
    ]
    for layer, owner in zip(layers, (quantised.first, quantised.second), strict=True):
        assert isinstance(layer, Matmul)
        assert layer.dtype == named
        weight = owner.weight()
        values = weight.dequantize() if weight.is_quantized else weight
        found = np.ones(values.shape, bool) if layer.mask is None else layer.mask.unpack()
        assert np.array_equal(found, (values != 0).numpy())


def test_a_static_quantised_network_is_its_convolutions_and_products() -> None:
    module, pixels = Pictures().eval(), drawn(2, 3, 16, 16)
    plain = trace(module, pixels)
    module.qconfig = torch.ao.quantization.get_default_qconfig("x86")
    torch.ao.quantization.prepare(module, inplace=True)
    module(pixels)
    torch.ao.quantization.convert(module, inplace=True)
    layers = trace(module, pixels).layers
    for layer, before in zip(layers, plain.layers, strict=True):
        assert isinstance(layer, Matmul)
        assert isinstance(before, Matmul)
        assert (layer.name, layer.op, layer.m, layer.n, layer.k) == (
            before.name,
            before.op,
            before.m,
            before.n,
            before.k,
        )
        assert (layer.count, layer.geometry, layer.dtype) == (before.count, before.geometry, "int8")


def test_quantised_recurrent_layers_are_listed_with_the_products_of_plain_ones() -> None:
    for make in (nn.LSTM, nn.GRU):
        module = nn.Sequential(make(16, 8, num_layers=2, bidirectional=True, batch_first=True))
        quantised = torch.ao.quantization.quantize_dynamic(module, {make}, dtype=torch.qint8)
        (layer,) = trace(quantised, X).layers
        assert isinstance(layer, Unknown)
        assert layer.macs == trace(module, X).macs


def test_weights_of_eight_bits_that_are_scaled_by_hand_or_by_torch_are_weights() -> None:
    integers = torch.randint(1, 127, (5, 16), dtype=torch.int8)
    integers[:, ::4] = 0

    class ByHand(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weight", integers)
            self.register_buffer("scale", torch.full((5,), 0.1))

        def forward(self, rows: Any) -> Any:
            return F.linear(rows, self.weight * self.scale[:, None])

    class ByTorch(ByHand):
        def forward(self, rows: Any) -> Any:
            return torch._weight_int8pack_mm(rows.bfloat16(), self.weight, self.scale.bfloat16())

    for module, rows in ((ByHand(), X), (ByTorch(), X.reshape(-1, 16))):
        with still(module):
            (layer,) = record(module, rows)
        assert isinstance(layer, Matmul)
        assert (layer.m, layer.n, layer.k, layer.weights) == (20, 5, 16, True)
        assert layer.mask is not None
        assert np.array_equal(layer.mask.unpack(), integers.numpy() != 0)


def scripted() -> nn.Module:
    made: nn.Module = torch.jit.script(nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8)).eval())
    return made


HIDING: dict[str, Callable[[], nn.Module]] = {
    "compiled": lambda: torch.compile(Two(), backend="aot_eager"),
    "scripted": scripted,
    "traced by torch": lambda: torch.jit.trace(Two(), X),
    "frozen": lambda: torch.jit.freeze(scripted()),
    "data parallel": lambda: nn.DataParallel(Two()),
    "automatic types": lambda: Call(
        lambda m, x: [torch.autocast("cpu", torch.bfloat16)(m.inner)(x)][0], inner=Two()
    ),
    "a branch": lambda: Call(
        lambda m, x: torch.cond(x.sum() > 0, lambda x: m.inner(x), lambda x: m.inner(-x), (x,)), inner=Two()
    ),
}


@pytest.mark.parametrize("how", HIDING)
def test_a_module_that_hides_its_layers_has_their_products(how: str) -> None:
    layers = trace(HIDING[how](), X).layers
    assert [(layer.macs, getattr(layer, "weights", None)) for layer in layers] == [
        (20 * 16 * 32, True),
        (20 * 32 * 8, True),
    ]


def test_flexible_attention_is_an_attention() -> None:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    causal = create_block_mask(lambda b, h, q, k: q >= k, None, None, 6, 6, device="cpu")
    for mask in (None, causal):
        module = Call(lambda _, q, k, mask=mask: flex_attention(q, k, k, block_mask=mask, enable_gqa=True))
        (layer,) = trace(module, (drawn(2, 4, 6, 16), drawn(2, 2, 6, 16))).layers
        assert isinstance(layer, Attention)
        assert (layer.heads, layer.kv_heads, layer.queries, layer.keys) == (4, 2, 6, 6)
        assert layer.causal == (mask is not None)


def test_learned_queries_meet_keys_in_an_attention() -> None:
    module = Call(
        lambda m, x: F.multi_head_attention_forward(
            m.queries.expand(2, 5, 16).mT.mT.transpose(0, 1),
            *[x.transpose(0, 1)] * 2,
            16,
            4,
            m.mha.in_proj_weight,
            m.mha.in_proj_bias,
            None,
            None,
            False,
            0.0,
            m.mha.out_proj.weight,
            m.mha.out_proj.bias,
            training=False,
        )[0],
        queries=drawn(1, 5, 16),
        mha=nn.MultiheadAttention(16, 4),
    )
    (attention,) = (layer for layer in trace(module, X).layers if isinstance(layer, Attention))
    assert (attention.heads, attention.queries, attention.keys, attention.dim) == (4, 5, 10, 4)


def test_tensors_that_are_plain_attributes_are_weights() -> None:
    module = Call(lambda m, x: x @ m.held[0], held=[drawn(16, 3)])
    (layer,) = trace(module, X).layers
    assert isinstance(layer, Matmul)
    assert layer.weights
