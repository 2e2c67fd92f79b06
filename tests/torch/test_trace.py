"""Tracing sees every product of a forward pass, names it, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402, N812
from torch import nn  # noqa: E402
from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

import accelsim.trace  # noqa: E402
from accelsim.trace import trace  # noqa: E402
from accelsim.trace.tracing import record, still  # noqa: E402
from accelsim.workload import Attention, Matmul, Unknown  # noqa: E402

pytestmark = pytest.mark.torch


class Call(nn.Module):
    """A module of one function."""

    def __init__(self, function: Callable[..., Any], **parameters: Any) -> None:
        super().__init__()
        self.function = function
        for name, value in parameters.items():
            setattr(self, name, nn.Parameter(value) if isinstance(value, torch.Tensor) else value)

    def forward(self, *inputs: Any) -> Any:
        return self.function(self, *inputs)


def drawn(*shape: int) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


def eager(_self: Any, q: Any, k: Any, v: Any) -> Any:
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    scores += torch.zeros(q.shape[-2], k.shape[-2])
    return F.dropout(scores.softmax(-1), 0.0) @ v


def by_einsum(_self: Any, q: Any, k: Any, v: Any) -> Any:
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k).mul(0.3)
    return torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v)


def by_exponentials(_self: Any, q: Any, k: Any, v: Any) -> Any:
    weights = torch.exp(q @ k.mT)
    return (weights / weights.sum(-1, keepdim=True)) @ v


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 8)
        self.out = nn.Linear(8, 20, bias=False)
        self.out.weight = self.table.weight

    def forward(self, ids: Any) -> Any:
        return self.out(self.table(ids))


X = drawn(2, 10, 16)
QKV = (drawn(2, 4, 6, 8), drawn(2, 4, 9, 8), drawn(2, 4, 9, 5))
CASES: dict[str, tuple[Callable[[], nn.Module], tuple[Any, ...]]] = {
    "linear": (lambda: nn.Linear(16, 5), (X,)),
    "linear of a vector": (lambda: nn.Linear(16, 5), (drawn(16),)),
    "linear without bias": (lambda: nn.Linear(16, 5, bias=False), (X,)),
    "strided convolution": (lambda: nn.Conv2d(3, 8, 3, stride=2, padding=1), (drawn(2, 3, 9, 7),)),
    "grouped convolution": (lambda: nn.Conv2d(8, 12, (3, 1), groups=4), (drawn(2, 8, 9, 7),)),
    "depthwise convolution": (lambda: nn.Conv2d(8, 8, 3, groups=8, dilation=2), (drawn(1, 8, 9, 9),)),
    "convolution of a signal": (lambda: nn.Conv1d(10, 6, 3), (X,)),
    "convolution of a volume": (lambda: nn.Conv3d(2, 4, 2), (drawn(1, 2, 4, 5, 6),)),
    "transposed convolution": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (drawn(2, 4, 5, 6),)),
    "unbatched convolution": (lambda: nn.Conv2d(3, 4, 3), (drawn(3, 8, 8),)),
    "multi-head attention": (lambda: nn.MultiheadAttention(16, 4, batch_first=True), (X, X, X)),
    "encoder layer": (lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), (X,)),
    "lstm": (lambda: nn.LSTM(16, 8, num_layers=2, bidirectional=True, batch_first=True), (X,)),
    "gru": (lambda: nn.GRU(16, 8), (X,)),
    "tied weights": (Tied, (torch.arange(12).reshape(2, 6),)),
    "fused attention": (lambda: Call(lambda _, q, k, v: F.scaled_dot_product_attention(q, k, v)), QKV),
    "attention step by step": (lambda: Call(eager), QKV),
    "attention by einsum": (lambda: Call(by_einsum), (X.view(2, 10, 4, 4),) * 3),
    "attention by exponentials": (lambda: Call(by_exponentials), QKV),
    "weight by einsum": (
        lambda: Call(lambda m, x: torch.einsum("btd,hdn->bhtn", x, m.w), w=drawn(4, 16, 5)),
        (X,),
    ),
    "weight on the left": (lambda: Call(lambda m, x: m.w @ x.mT, w=drawn(5, 16)), (X,)),
    "product of activations": (lambda: Call(lambda _, x: x @ x.mT), (X,)),
    "weight norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(16, 5)), (X,)),
}


def counted(module: nn.Module, inputs: tuple[Any, ...]) -> int:
    """Multiply-accumulates by torch's own counter, with kernels that it can see into."""
    counter = FlopCounterMode(display=False)
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    with ExitStack() as stack:
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        # The context manager of this flag warns about others.
        stack.callback(torch._C._set_mkldnn_enabled, torch._C._get_mkldnn_enabled())
        torch._C._set_mkldnn_enabled(False)
        stack.enter_context(torch.no_grad())
        stack.enter_context(counter)
        module(*inputs)
    return int(counter.get_total_flops()) // 2


def first(output: Any) -> Any:
    return output[0] if isinstance(output, tuple) else output


@pytest.mark.parametrize("case", CASES)
def test_products_add_up_to_what_torch_counts(case: str) -> None:
    make, inputs = CASES[case]
    module = make().eval()
    workload = trace(module, inputs)
    assert workload.macs == counted(module, inputs) > 0
    assert not any(isinstance(layer, Unknown) for layer in workload.layers)
    assert len({layer.name for layer in workload.layers}) == len(workload.layers)


@pytest.mark.parametrize(("make", "gates"), [(nn.LSTM, 4), (nn.GRU, 3)])
def test_a_recurrent_step_is_a_product_of_its_own(make: Any, gates: int) -> None:
    """A step waits for the state before it, whether torch runs it fused or not: five are not one of five."""
    layers = trace(make(16, 8), (drawn(5, 2, 16),)).layers
    shapes = [(layer.m, layer.n, layer.k, layer.count) for layer in layers if isinstance(layer, Matmul)]
    assert shapes == [(10, gates * 8, 16, 1)] + 5 * [(2, gates * 8, 8, 1)]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad])
def test_the_traced_pass_gives_the_plain_output_bit_for_bit(case: str, mode: Callable[[], Any]) -> None:
    from accelsim.trace.recorder import Recorder
    from accelsim.trace.tracing import still

    make, inputs = CASES[case]
    module = make().eval()
    with still(module), mode():
        plain = first(module(*inputs))
        with Recorder(module, inputs) as recorder:
            traced = first(module(*inputs))
    assert torch.equal(plain, traced)
    assert recorder.layers() == trace(module, inputs).layers


@pytest.mark.parametrize("case", CASES)
def test_inference_mode_is_traced_alike(case: str) -> None:
    make, inputs = CASES[case]
    module = make()
    expected = trace(module, inputs)
    with torch.inference_mode():
        assert trace(module, inputs) == expected


@pytest.mark.parametrize(
    ("case", "heads", "queries", "keys", "dim", "value_dim"),
    [
        ("fused attention", 4, 6, 9, 8, 5),
        ("attention step by step", 4, 6, 9, 8, 5),
        ("attention by exponentials", 4, 6, 9, 8, 5),
        ("attention by einsum", 4, 10, 10, 4, 4),
        ("multi-head attention", 4, 10, 10, 4, 4),
        ("encoder layer", 4, 10, 10, 4, 4),
    ],
)
def test_scores_and_values_are_one_attention(
    case: str, heads: int, queries: int, keys: int, dim: int, value_dim: int
) -> None:
    make, inputs = CASES[case]
    (attention,) = (layer for layer in trace(make(), inputs).layers if isinstance(layer, Attention))
    shape = (attention.heads, attention.queries, attention.keys, attention.dim, attention.value_dim)
    assert shape == (heads, queries, keys, dim, value_dim)
    assert attention.batch == 2
    assert not attention.causal


def test_a_causal_attention_is_known_from_its_flag_or_from_its_zeros() -> None:
    causal = torch.ones(6, 6, dtype=torch.bool).tril()

    def masked(_self: Any, x: Any) -> Any:
        return (x @ x.mT).masked_fill(~causal, float("-inf")).softmax(-1) @ x

    def flagged(_self: Any, x: Any) -> Any:
        return F.scaled_dot_product_attention(x, x, x, is_causal=True)

    def given(_self: Any, x: Any) -> Any:
        return F.scaled_dot_product_attention(x, x, x, attn_mask=causal)

    for function in (masked, flagged, given):
        (attention,) = trace(Call(function), drawn(2, 4, 6, 8)).layers
        assert isinstance(attention, Attention)
        assert attention.causal, function


def test_a_product_after_a_reduction_of_scores_is_no_attention() -> None:
    def mean_of_heads(_self: Any, x: Any) -> Any:
        return (x @ x.mT).softmax(-1).mean(1) @ x.sum(1)

    layers = trace(Call(mean_of_heads), drawn(2, 4, 6, 8)).layers
    assert [type(layer) for layer in layers] == [Matmul, Matmul]


def test_scores_without_a_softmax_are_no_attention() -> None:
    layers = trace(Call(lambda _, x: (x @ x.mT) @ x), drawn(2, 4, 6, 8)).layers
    assert [layer.weights for layer in layers if isinstance(layer, Matmul)] == [False, False]


def test_layers_are_called_as_their_modules() -> None:
    module = nn.Sequential(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), nn.Linear(16, 3))
    names = [layer.name for layer in trace(module, X).layers]
    assert names == [
        "0.self_attn.in_proj_weight",
        "0.self_attn",
        "0.self_attn.out_proj",
        "0.linear1",
        "0.linear2",
        "1",
    ]
    assert [layer.name for layer in trace(Tied(), torch.arange(4)).layers] == ["out"]


def test_a_module_that_runs_twice_has_two_names() -> None:
    shared = nn.Linear(16, 16)
    assert [layer.name for layer in trace(nn.Sequential(shared, shared), X).layers] == ["0", "0#2"]


def test_zeros_of_a_weight_are_its_mask_whichever_way_it_is_laid_out() -> None:
    dropped = torch.rand(5, 16, generator=torch.Generator().manual_seed(3)) < 0.5
    weight = drawn(5, 16).masked_fill(dropped, 0)
    linear = nn.Linear(16, 5)
    linear.weight = nn.Parameter(weight)
    cases = (
        linear,
        Call(lambda m, x: m.w @ x.mT, w=weight.clone()),
        Call(lambda m, x: x @ m.w, w=weight.t().contiguous()),
        Call(lambda m, x: x @ m.w[:16], w=torch.cat([weight.t(), weight.t()])),
        Call(lambda m, x: F.linear(x, m.w * m.mask), w=drawn(5, 16), mask=(~dropped).float()),
    )
    for module in cases:
        with still(module):
            (layer,) = record(module, drawn(10, 16))
        assert isinstance(layer, Matmul)
        assert layer.weights
        assert layer.mask is not None
        assert np.array_equal(layer.mask.unpack(), ~dropped.numpy())


def test_masks_of_torch_itself_are_seen() -> None:
    from torch.nn.utils import prune

    linear = nn.Linear(16, 5)
    prune.l1_unstructured(linear, "weight", amount=0.25)
    (layer,) = trace(linear, X).layers
    assert isinstance(layer, Matmul)
    assert layer.kept == 60


def test_a_weight_without_zeros_has_no_mask() -> None:
    (layer,) = trace(nn.Linear(16, 5), X).layers
    assert isinstance(layer, Matmul)
    assert layer.mask is None


def test_a_convolution_is_the_product_that_its_geometry_says() -> None:
    conv = nn.Conv2d(8, 12, (3, 2), stride=(2, 1), padding=(1, 0), groups=2)
    with torch.no_grad():
        conv.weight[:, 1] = 0
    inputs = drawn(2, 8, 9, 7)
    (layer,) = trace(conv, inputs).layers
    assert isinstance(layer, Matmul)
    assert layer.op == "convolution"
    assert (layer.m, layer.n, layer.k, layer.count) == (2 * 5 * 6, 6, 4 * 6, 2)
    assert layer.geometry["order"] == "co,kh,kw,ci"
    assert layer.geometry["stride"] == "2x1"
    assert layer.mask is not None
    mask = layer.mask.unpack().reshape(2, 6, 3, 2, 4)
    assert np.array_equal(mask, np.broadcast_to([True, False, True, True], mask.shape))


def test_patches_times_the_lowered_weight_give_the_convolution() -> None:
    from accelsim.trace.products import bound, convolution

    conv = nn.Conv2d(6, 4, 3, stride=2, padding=1, groups=2, bias=False)
    inputs = drawn(2, 6, 7, 5)
    output = conv(inputs).detach()
    arguments = (inputs, conv.weight.detach(), None, [2, 2], [1, 1], [1, 1], False, [0, 0], 2)
    lowered = convolution(bound(torch.ops.aten.convolution.default, arguments, {}), output)
    patches = F.unfold(inputs, 3, padding=1, stride=2)  # (batch, ci * taps, positions)
    patches = patches.view(2, 2, 3, 9, -1).permute(1, 0, 4, 3, 2).reshape(2, -1, 27)
    product = (patches @ lowered.kernel.mT).view(2, 2, -1, 2).permute(1, 0, 3, 2).reshape(output.shape)
    torch.testing.assert_close(product, output)


NOT_UNDERSTOOD: dict[str, tuple[Callable[..., Any], int]] = {
    # Operator, multiply-accumulates of the definition for X, 20 rows of 16.
    "aten._fft_c2c": (lambda _, x: torch.fft.fft(x.to(torch.complex64)).real, 2 * 20 * 16 * 4),
    "aten._fft_r2c": (lambda _, x: torch.fft.rfft(x).real, 20 * 16 * 4),
    "aten._cdist_forward": (
        lambda _, x: torch.cdist(x, x[:, :3], compute_mode="donot_use_mm_for_euclid_dist"),
        2 * 10 * 3 * 16,
    ),
    "aten._euclidean_dist": (
        lambda _, x: torch.cdist(x, x[:, :3], compute_mode="use_mm_for_euclid_dist"),
        2 * 10 * 3 * 16,
    ),
    "aten.linalg_solve_triangular": (
        lambda _, x: torch.linalg.solve_triangular(torch.eye(10).expand(2, 10, 10), x, upper=False),
        2 * 16 * 10 * 9 // 2,
    ),
    "aten.linalg_inv_ex": (lambda _, x: torch.linalg.inv(torch.eye(4)), 0),
}


@pytest.mark.parametrize("op", NOT_UNDERSTOOD)
def test_an_operator_that_is_not_understood_is_listed_with_its_count(op: str) -> None:
    function, macs = NOT_UNDERSTOOD[op]
    (layer,) = trace(Call(function), X).layers
    assert isinstance(layer, Unknown)
    assert (layer.op, layer.macs, layer.name) == (op, macs, "Call")


def test_a_bilinear_layer_is_its_two_products() -> None:
    layer = nn.Bilinear(16, 12, 3)
    with torch.no_grad():
        layer.weight[:, ::2] = 0
    first, second = trace(layer, (X, drawn(2, 10, 12))).layers
    assert isinstance(first, Matmul)
    assert isinstance(second, Matmul)
    assert (first.m, first.n, first.k, first.dense_k, first.density) == (20, 3 * 12, 8, 16, 0.5)
    assert (second.m, second.n, second.k, second.count, second.weights) == (1, 3, 12, 20, False)


def test_tracing_leaves_the_module_as_it_was() -> None:
    module = nn.Sequential(nn.Linear(16, 16), nn.Dropout(0.5), nn.Linear(16, 4)).train()
    module[1].eval()
    before = [weight.clone() for weight in module.parameters()]
    trace(module, X, "magnitude,2:4")
    assert [child.training for child in module] == [True, False, True]
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


def test_an_error_inside_the_module_is_one_line_and_hooks_are_removed() -> None:
    from torch.nn.modules import module as hooks

    with pytest.raises(ValueError, match="Linear fails on inputs 2x3: RuntimeError") as refusal:
        trace(nn.Linear(16, 5), drawn(2, 3))
    assert "\n" not in str(refusal.value)
    assert not hooks._global_forward_hooks
    assert not hooks._global_forward_pre_hooks


def test_the_package_is_called_as_the_function() -> None:
    assert accelsim.trace(nn.Linear(16, 5), X) == trace(nn.Linear(16, 5), X)


def test_inputs_may_be_a_tensor_a_tuple_or_a_dict() -> None:
    linear = nn.Linear(16, 5)
    assert trace(linear, X) == trace(linear, (X,)) == trace(linear, {"input": X})


def test_a_weight_that_is_broadcast_over_a_batch_is_one_product_of_all_rows() -> None:
    layer = torch.nn.TransformerEncoderLayer(64, 2, 128, batch_first=True).eval()
    workload = trace(layer, torch.randn(3, 16, 64))
    (projection,) = [made for made in workload.layers if isinstance(made, Matmul) and made.n == 192]
    assert (projection.m, projection.k, projection.count) == (48, 64, 1)
