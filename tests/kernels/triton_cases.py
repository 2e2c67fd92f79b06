"""Triton kernels against golden; `test_triton` starts these in a process of their own."""

import numpy as np
import pytest
import torch
from drawn import ELEMENTS, compressed, patterns, real, weights
from hypothesis import example, given, settings
from hypothesis import strategies as st

from accelsim.golden.integer_attention import AttentionFormat, quantise
from accelsim.golden.integer_attention import attend as golden_attend
from accelsim.golden.softmax import softmax_error_bound
from accelsim_kernels import pack, products
from accelsim_kernels.triton_attention import decode_attention, split_keys
from accelsim_kernels.triton_products import gpu_matmul, gpu_pack

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@settings(max_examples=12)
@given(
    st.sampled_from(ELEMENTS),
    patterns(),
    st.tuples(st.integers(0, 20), st.integers(0, 40), st.integers(0, 70)),
    st.integers(0, 99),
)
@example("fp16", (2, 8), (1, 5, 64), 0)
@example("bf16", (2, 4), (17, 66, 130), 0)
@example("int8", (3, 20), (3, 5, 50), 0)
@example("fp32", (2, 8), (0, 5, 64), 0)
def test_a_product_is_the_sum_of_its_terms(element, pattern, shape, seed) -> None:
    rows, outputs, length = shape
    stored = compressed(weights(element, (outputs, length), seed), *pattern)
    rng = np.random.default_rng(seed)
    given_rows = torch.from_numpy(rng.integers(-9, 9, (rows, length)).astype(np.int8))
    if element != "int8":
        kind = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[element]
        given_rows = torch.from_numpy(rng.standard_normal((rows, length))).to(kind)
    found = gpu_matmul(gpu_pack(stored, DEVICE), given_rows.to(DEVICE)).cpu().numpy()
    exact_rows, dense = given_rows.double().numpy(), real(stored.decode())
    exact = exact_rows @ dense.T
    if element == "int8":
        assert np.array_equal(found, exact)
        return
    # The zeros of an expanded tile are added too, without a rounding.
    bound = products.error_bound(pack(stored), exact_rows, np.abs(exact_rows) @ np.abs(dense).T)
    assert (np.abs(found - exact) <= bound).all()


@settings(max_examples=12)
@given(st.integers(1, 2), st.integers(1, 2), st.integers(1, 90), st.integers(0, 4), st.integers(0, 99))
@example(1, 2, 600, 4, 1)
def test_attention_of_a_new_token_is_golden_s_within_its_own_bound(kv, group, tokens, lsb_bits, seed) -> None:
    rng = np.random.default_rng(seed)
    form = AttentionFormat(msb_bits=6, lsb_bits=lsb_bits, value_bits=8, output_fraction_bits=8)
    query = rng.standard_normal((kv * group, 1, 20)) * rng.choice([0.2, 3.0], (kv * group, 1, 1))
    key, value = rng.standard_normal((kv, tokens, 20)), rng.standard_normal((kv, tokens, 12))
    given_ones = quantise(query, key, value, form)
    kept = np.flatnonzero(rng.random(tokens) < 0.5)
    kept = kept if len(kept) else np.array([0])
    cache = split_keys(
        *(torch.from_numpy(each).to(DEVICE) for each in (given_ones.key, given_ones.value)), form
    )
    found, refetch = decode_attention(
        torch.from_numpy(given_ones.query[:, 0]).to(DEVICE),
        cache,
        torch.from_numpy(kept.astype(np.int32)).to(DEVICE),
        given_ones.score_scale,
        form,
    )
    for head in range(kv * group):
        shared = slice(head // group, head // group + 1)
        alone = type(given_ones)(
            query=given_ones.query[head : head + 1],
            key=given_ones.key[shared][:, kept],
            value=given_ones.value[shared][:, kept],
            score_scale=given_ones.score_scale,
            value_scale=1.0,
        )
        wanted = golden_attend(alone, form)
        step = softmax_error_bound(form.softmax, len(kept))
        if bool(refetch[head]) != bool(wanted.refetch[0, 0]):
            # Only where the largest probability is as near to the threshold as golden's own error.
            coarse = golden_attend(alone, AttentionFormat(**{**vars(form), "threshold": 0.0}))
            assert abs(coarse.probabilities.max() / form.softmax.one - form.threshold) <= step + 1e-5
            continue
        exact = wanted.outputs[0, 0] * wanted.output_scale
        magnitude = np.abs(alone.value[0]).sum(axis=0)
        bound = magnitude * (step + (len(kept) + 8) * 2.0**-23) + 0.5 * wanted.output_scale
        assert (np.abs(found[head].cpu().numpy() - exact) <= bound).all()


def test_what_does_not_fit_is_refused() -> None:
    form = AttentionFormat(msb_bits=10)
    with pytest.raises(ValueError, match="^msb_bits must be at most 8, not 10$"):
        split_keys(torch.zeros(1, 2, 4), torch.zeros(1, 2, 4), form)
    stored = compressed(weights("fp32", (4, 16), 0), 2, 8)
    with pytest.raises(ValueError, match=r"^activations must be \(rows, 16\) as the weights"):
        gpu_matmul(gpu_pack(stored, DEVICE), torch.zeros(1, 15, device=DEVICE))
