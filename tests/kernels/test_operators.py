"""Torch operators: their schemas and fake kernels, their numbers, their gradients."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the torch extra")

import torch
from drawn import ELEMENTS, compressed, real, weights

from accelsim.golden.fixed import symmetric_quantise
from accelsim.golden.integer_attention import AttentionFormat, Operands
from accelsim.golden.integer_attention import attend as golden_attend
from accelsim.golden.matmul import matmul_integer
from accelsim.prune.nm_masks import backward_mask, forward_mask
from accelsim_kernels import pack, products
from accelsim_kernels.fixed_products import pack_pairs, safe_pairs
from accelsim_kernels.operators import (
    fixed_attention,
    fixed_linear,
    nm_linear,
    nm_train_linear,
    nm_weights,
    numbers_of,
    packed_tensors,
)

pytestmark = pytest.mark.torch


def packed(element: str, outputs: int, length: int):
    stored = compressed(weights(element, (outputs, length), 1), 2, 8)
    return stored, pack(stored)


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("outer", [(), (3,), (2, 0), (2, 5)])
def test_nm_linear_is_the_product_in_the_element_of_its_input(element, kind, outer) -> None:
    stored, layout = packed(element, 20, 37)
    x = torch.randn(*outer, 37, generator=torch.Generator().manual_seed(0))
    x = (x * 20).to(torch.int8) if element == "int8" else x.to(kind)
    found = nm_linear(x, *packed_tensors(layout), 2, 8, 20)
    rows, dense = x.double().reshape(-1, 37).numpy(), real(stored.decode())
    exact = (rows @ dense.T).reshape(*outer, 20)
    if element == "int8":
        assert found.dtype == torch.int32
        assert np.array_equal(found.numpy(), exact)
        return
    assert found.dtype == kind
    bound = products.error_bound(layout, rows, np.abs(rows) @ np.abs(dense).T).reshape(exact.shape)
    # One more rounding, to the element of the input.
    bound = bound + torch.finfo(kind).eps * (np.abs(exact) + bound)
    assert (np.abs(found.double().numpy() - exact) <= bound).all()


def test_operators_keep_what_they_promise_torch() -> None:
    _, layout = packed("fp32", 20, 37)
    x = torch.randn(3, 37, requires_grad=True)
    torch.library.opcheck(nm_linear, (x, *packed_tensors(layout), 2, 8, 20))
    weight = torch.randn(20, 37, requires_grad=True)
    torch.library.opcheck(nm_train_linear, (x, weight, 2, 8))
    torch.library.opcheck(nm_weights, (weight.detach(), 2, 8))
    words = torch.from_numpy(pack_pairs(np.ones((20, 37), np.int64)))
    torch.library.opcheck(fixed_linear, (x.detach(), words, torch.ones(20).double(), 12, 100, True))
    query, key = torch.randn(2, 4, 3, 8), torch.randn(2, 2, 5, 8)
    valid = torch.ones(1, 1, 3, 5, dtype=torch.bool)
    form = AttentionFormat()
    more = (0.3, numbers_of(form), form.threshold, 0.5)
    torch.library.opcheck(fixed_attention, (query, key, key, valid, *more))
    torch.library.opcheck(fixed_attention, (query, key, key, None, *more))


def test_the_gradient_of_an_n_m_product_is_that_of_its_dense_weights() -> None:
    stored, layout = packed("fp32", 20, 37)
    x = torch.randn(2, 3, 37, requires_grad=True)
    gradient = torch.randn(2, 3, 20)
    nm_linear(x, *packed_tensors(layout), 2, 8, 20).backward(gradient)
    assert torch.allclose(x.grad, gradient @ torch.from_numpy(stored.decode()), atol=1e-4)


@pytest.mark.parametrize("shape", [(20, 37), (16, 64), (1, 9)])
def test_a_training_step_prunes_along_the_inputs_forward_and_along_the_outputs_backward(shape) -> None:
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn(*shape, generator=generator, requires_grad=True)
    x = torch.randn(5, shape[1], generator=generator, requires_grad=True)
    half = weight.detach().half().float()
    forward, backward = half * forward_mask(weight, 2, 8), half * backward_mask(weight, 2, 8)
    found = nm_weights(weight.detach(), 2, 8)
    assert torch.equal(found[0], forward)
    assert torch.equal(found[1], backward)
    gradient = torch.randn(5, shape[0], generator=generator)
    output = nm_train_linear(x, weight, 2, 8)
    assert torch.allclose(output, x @ forward.t(), atol=1e-5)
    output.backward(gradient)
    assert torch.allclose(x.grad, gradient @ backward, atol=1e-5)
    assert torch.allclose(weight.grad, gradient.t() @ x.detach(), atol=1e-5)


@pytest.mark.parametrize("by_row", [True, False])
@pytest.mark.parametrize("rows", [1, 9])
def test_a_fixed_linear_is_golden_s_integers_and_one_factor(by_row, rows) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, 300)).astype(np.float32)
    raw, scales = symmetric_quantise(rng.standard_normal((40, 300)), 12, over=(1,))
    words, safe = torch.from_numpy(pack_pairs(raw)), safe_pairs(raw, np.array([2047]))
    found = fixed_linear(torch.from_numpy(x), words, torch.from_numpy(scales[:, 0].copy()), 12, safe, by_row)
    given, steps = symmetric_quantise(x, 12, over=(1,) if by_row else None)
    wanted = (matmul_integer(given, raw) * (steps * scales.T)).astype(np.float32)
    assert np.array_equal(found.numpy(), wanted)


@pytest.mark.parametrize("causal", [True, False])
def test_a_fixed_attention_is_golden_s_head_by_head(causal) -> None:
    rng = np.random.default_rng(0)
    form = AttentionFormat(value_bits=12)
    query, key, value = (rng.standard_normal((2, heads, 9, 16)).astype(np.float32) for heads in (4, 2, 2))
    valid = np.tri(9, dtype=bool)[None, None] if causal else None
    found = fixed_attention(
        *(torch.from_numpy(each) for each in (query, key, value)),
        None if valid is None else torch.from_numpy(valid),
        0.25,
        numbers_of(form),
        form.threshold,
        0.5,
    )
    for sample in range(2):
        for head in range(4):
            Q, K, V = query[sample, head], key[sample, head // 2], value[sample, head // 2]
            raw, steps = zip(
                *(symmetric_quantise(each, bits) for each, bits in ((Q, 10), (K, 10), (V, 12))), strict=True
            )
            alone = Operands(
                query=raw[0][None],
                key=raw[1][None],
                value=raw[2][None],
                score_scale=steps[0] * steps[1] * 0.25,
                value_scale=steps[2],
            )
            wanted = golden_attend(alone, form, 0.5, None if valid is None else valid[0])
            exact = (wanted.outputs[0] * wanted.output_scale).astype(np.float32)
            assert np.array_equal(found[sample, :, head].numpy(), exact)
