"""Pruned attention in fixed point: every number and every decision equal to golden's."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accelsim.golden.attention import head_importance, token_importance
from accelsim.golden.integer_attention import AttentionFormat, Cascade, Operands, quantise
from accelsim.golden.integer_attention import attend as golden_attend
from accelsim.golden.softmax import SoftmaxFormat
from accelsim_kernels import attend
from accelsim_kernels.attention import exponents

shapes = st.tuples(*(st.integers(low, high) for low, high in ((1, 3), (0, 6), (1, 40), (1, 20), (1, 20))))


@st.composite
def forms(draw) -> AttentionFormat:
    probability = draw(st.integers(1, 16))
    fraction = draw(st.integers(0, 10))
    softmax = SoftmaxFormat(
        score_fraction_bits=fraction,
        exp_fraction_bits=draw(st.integers(max(8, fraction), 28)),
        degree=draw(st.integers(1, 8)),
        probability_fraction_bits=probability,
        reciprocal_bits=draw(st.none() | st.integers(probability, 24)),
        rounding=draw(st.sampled_from(("half_even", "half_up", "floor"))),
    )
    return AttentionFormat(
        msb_bits=draw(st.integers(2, 12)),
        lsb_bits=draw(st.integers(0, 4)),
        value_bits=draw(st.integers(2, 16)),
        threshold=draw(st.floats(0, 1)),
        score_integer_bits=draw(st.integers(1, 12)),
        output_fraction_bits=draw(st.integers(0, probability)),
        softmax=softmax,
    )


def operands(shape: tuple[int, ...], form: AttentionFormat, seed: int) -> Operands:
    """Quantised Q, K and V whose rows are some flat, some peaked."""
    heads, queries, keys, dim, value_dim = shape
    rng = np.random.default_rng(seed)
    query = rng.standard_normal((heads, queries, dim)) * rng.choice([0.2, 3.0], (heads, queries, 1))
    key, value = (rng.standard_normal((heads, keys, width)) for width in (dim, value_dim))
    return quantise(query, key, value, form)


def equal(given: Operands, form: AttentionFormat, value_keep: float, valid: np.ndarray | None) -> None:
    wanted = golden_attend(given, form, value_keep, valid)
    arrays = (given.query, given.key, given.value, given.score_scale)
    found = attend(*arrays, form, value_keep, valid, decisions=True)
    for name in ("probabilities", "refetch", "values_kept", "outputs"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name)), name
    keys, heads = given.key.shape[1], given.query.shape[0]
    none = np.zeros(keys, np.int64), np.zeros(heads, np.int64)
    assert np.array_equal(found.token_importance, token_importance(none[0], wanted.probabilities))
    assert np.array_equal(found.head_importance, head_importance(none[1], wanted.outputs))
    silent = attend(*arrays, form, value_keep, valid)
    assert np.array_equal(silent.outputs, wanted.outputs)
    assert silent.probabilities is None


@given(shapes, forms(), st.floats(0.01, 1), st.sampled_from(("all", "causal", "some")), st.integers(0, 99))
@example((1, 1, 1, 1, 1), AttentionFormat(), 1.0, "all", 0)
@example((2, 0, 3, 4, 4), AttentionFormat(), 1.0, "all", 0)
@example((2, 6, 40, 20, 20), AttentionFormat(msb_bits=12, lsb_bits=4, value_bits=16), 0.3, "causal", 0)
def test_every_number_is_golden_s(shape, form, value_keep, mask, seed) -> None:
    _, queries, keys, *_ = shape
    rng = np.random.default_rng(seed)
    valid = None
    if mask == "causal":
        valid = np.tri(queries, keys, dtype=bool)[None]
    elif mask == "some":
        valid = rng.random((1, queries, keys)) < 0.5
        valid[..., rng.integers(keys)] = True
    equal(operands(shape, form, seed), form, value_keep, valid)


def test_a_long_row_of_many_dims_is_golden_s() -> None:
    """Sums pass 32 bits on the way."""
    form = AttentionFormat(msb_bits=12, lsb_bits=4, threshold=1.0)
    given_ones = operands((1, 2, 70, 300, 5), form, 0)
    extreme = np.full_like(given_ones.query, 32767)
    given_ones = replace(given_ones, query=extreme, key=np.full_like(given_ones.key, -32767))
    equal(given_ones, form, 0.5, None)


def test_query_heads_of_one_kv_head_share_it_and_have_their_own_scale() -> None:
    form = AttentionFormat()
    alone = operands((4, 3, 9, 8, 8), form, 1)
    scales = alone.score_scale * np.array([1.0, 0.5, 2.0, 0.1])
    found = attend(alone.query, alone.key[::2], alone.value[::2], scales, form)
    for head in range(4):
        one = replace(
            alone,
            query=alone.query[head : head + 1],
            key=alone.key[head // 2 * 2 : head // 2 * 2 + 1],
            value=alone.value[head // 2 * 2 : head // 2 * 2 + 1],
            score_scale=float(scales[head]),
        )
        assert np.array_equal(found.outputs[head : head + 1], golden_attend(one, form).outputs)


def test_a_cascade_over_layers_keeps_the_same_tokens_and_heads() -> None:
    form, ours, theirs = AttentionFormat(), Cascade.start(20, 4), Cascade.start(20, 4)
    for layer in range(4):
        ours, theirs = (each.prune(1 - 0.2 * layer, 1 - 0.1 * layer) for each in (ours, theirs))
        whole = operands((4, 20, 20, 8, 8), form, layer)
        for state in (ours, theirs):
            assert np.array_equal(state.tokens, theirs.tokens)
            assert np.array_equal(state.heads, theirs.heads)
        at = np.ix_(theirs.heads, theirs.tokens)
        left = replace(whole, query=whole.query[at], key=whole.key[at], value=whole.value[at])
        theirs = theirs.account(golden_attend(left, form, 0.5))
        found = attend(left.query, left.key, left.value, left.score_scale, form, 0.5)
        token_scores, head_scores = ours.token_scores.copy(), ours.head_scores.copy()
        token_scores[ours.tokens] += found.token_importance
        head_scores[ours.heads] += found.head_importance
        ours = replace(ours, token_scores=token_scores, head_scores=head_scores)
    assert len(theirs.tokens) < 20


def test_a_table_with_one_wrong_exponent_is_noticed() -> None:
    form = AttentionFormat()
    table = exponents(form.softmax)
    table[0] -= 1 << 20
    try:
        with pytest.raises(AssertionError):
            equal(operands((1, 3, 9, 8, 8), form, 0), form, 1.0, None)
    finally:
        table[0] += 1 << 20


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": np.zeros((1, 8, 4), np.int64)}, "must fit each other"),
        ({"query": np.zeros((1, 2, 7), np.int64)}, "must fit each other"),
        ({"query": np.zeros((1, 2, 8))}, "Q must be integers, not float64"),
        ({"key": np.full((1, 9, 8), 1 << 15)}, "K must be within 16 bits, not up to 32768"),
        ({"valid": np.zeros((1, 2, 9), bool)}, "at least one valid score"),
        (
            {"score_scale": 1e-6, "form": AttentionFormat(softmax=SoftmaxFormat(score_fraction_bits=24))},
            "at most 2097152 entries",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(change, message) -> None:
    given_ones = {
        "query": np.ones((1, 2, 8), np.int64),
        "key": np.ones((1, 9, 8), np.int64),
        "value": np.ones((1, 9, 4), np.int64),
        "score_scale": 0.01,
        "form": AttentionFormat(),
    }
    with pytest.raises(ValueError, match=r"^[^\n]*$") as refused:
        attend(**(given_ones | change))
    assert message in str(refused.value)
