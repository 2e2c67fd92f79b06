"""The integer layer against a scalar re-statement and against float attention; the cascade's invariants."""

import math
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.golden.integer_attention import (
    AttentionFormat,
    Cascade,
    LayerResult,
    attend,
    quantise,
    score_rows,
)
from accelsim.golden.softmax import softmax

PRECISE = AttentionFormat(msb_bits=12, lsb_bits=4, value_bits=16, threshold=1.0, output_fraction_bits=0)


def draw(heads: int, queries: int, keys: int, dim: int, seed: int) -> tuple[np.ndarray, ...]:
    """Real Q, K, V whose rows are some flat, some peaked."""
    rng = np.random.default_rng(seed)
    query = rng.standard_normal((heads, queries, dim)) * rng.choice([0.2, 3.0], (heads, queries, 1))
    return query, rng.standard_normal((heads, keys, dim)), rng.standard_normal((heads, keys, dim))


def float_attention(query: np.ndarray, key: np.ndarray, value: np.ndarray) -> np.ndarray:
    scores = query @ key.swapaxes(-1, -2) / math.sqrt(query.shape[-1])
    return scipy.special.softmax(scores, axis=-1) @ value


def scalar_row(query, keys, values, scale: float, form: AttentionFormat, count: int) -> tuple:
    """One query row, step by step in Python integers and fractions (softmax has its own tests)."""

    def probabilities(dropped: int) -> list[int]:
        mask = -(1 << dropped)
        mantissa, exponent = math.frexp(scale * 2**form.score.fraction_bits)
        factor = Fraction(round(mantissa * 2**16), 2**16) * Fraction(2) ** exponent
        row = [
            max(form.score.lowest, min(form.score.highest, round(factor * dot)))
            for dot in (sum((q & mask) * (k & mask) for q, k in zip(query, key, strict=True)) for key in keys)
        ]
        return softmax(np.array(row), form.softmax).tolist()

    final = probabilities(form.lsb_bits)
    refetch = form.lsb_bits > 0 and max(final) < form.threshold * 4096
    if refetch:
        final = probabilities(0)
    kept = sorted(sorted(range(len(final)), key=lambda i: (-final[i], i))[:count])
    sums = [sum(final[i] * values[i][d] for i in kept) for d in range(len(values[0]))]
    outputs = [round(Fraction(total, 4096 >> form.output_fraction_bits)) for total in sums]
    return final, refetch, kept, outputs


@settings(max_examples=25)
@given(
    st.integers(0, 10**6),
    st.sampled_from([(4, 4), (6, 4), (8, 4), (12, 4), (8, 0)]),
    st.sampled_from([0.0, 0.2, 0.4, 1.0]),
    st.sampled_from([0.2, 0.5, 1.0]),
)
def test_every_step_equals_a_scalar_restatement(seed, bits, threshold, keep):
    form = AttentionFormat(msb_bits=bits[0], lsb_bits=bits[1], value_bits=8, threshold=threshold)
    operands = quantise(*draw(2, 3, 10, 8, seed), form)
    result = attend(operands, form, value_keep=keep)
    for head, row in np.ndindex(2, 3):
        arrays = operands.query[head, row], operands.key[head], operands.value[head]
        query, keys, values = (array.tolist() for array in arrays)
        expected = scalar_row(query, keys, values, operands.score_scale, form, math.floor(10 * keep))
        got = (
            result.probabilities[head, row].tolist(),
            bool(result.refetch[head, row]),
            np.flatnonzero(result.values_kept[head, row]).tolist(),
            result.outputs[head, row].tolist(),
        )
        assert got == expected


def test_the_restatement_tells_a_lost_refetch_apart():
    form = AttentionFormat(msb_bits=4, lsb_bits=4, value_bits=8, threshold=1.0)
    operands = quantise(*draw(2, 3, 10, 8, 4), form)
    never = attend(operands, replace(form, threshold=0.0))
    assert not np.array_equal(attend(operands, form).probabilities, never.probabilities)


@pytest.mark.parametrize("seed", range(4))
def test_wide_words_and_no_pruning_come_close_to_float_attention(seed):
    query, key, value = draw(3, 8, 32, 64, seed)
    result = attend(quantise(query, key, value, PRECISE), PRECISE)
    error = np.abs(result.outputs * result.output_scale - float_attention(query, key, value))
    # Scores carry 8 fraction bits: half a step moves the probabilities of a row by 2^-9 in sum,
    # softmax by 32 half steps of 2^-12; each is worth at most one largest |V|.
    assert error.max() < np.abs(value).max() * (2 * 2.0**-9 + 32 * 2.0**-13)


def test_more_msb_bits_bring_the_output_closer():
    query, key, value = draw(4, 16, 32, 64, 9)
    exact = float_attention(query, key, value)
    errors = []
    for bits in (4, 6, 8, 10):
        form = replace(PRECISE, msb_bits=bits, lsb_bits=0)
        result = attend(quantise(query, key, value, form), form)
        errors.append(float(np.abs(result.outputs * result.output_scale - exact).mean()))
    assert errors == sorted(errors, reverse=True)


def test_a_threshold_of_zero_never_refetches_and_one_gives_static_quantisation_of_the_whole():
    form = AttentionFormat(msb_bits=6, lsb_bits=4, threshold=0.0)
    arrays = draw(2, 8, 16, 16, 2)
    assert not attend(quantise(*arrays, form), form).refetch.any()
    always = replace(form, threshold=1.0)
    static = replace(form, msb_bits=10, lsb_bits=0)
    result, whole = attend(quantise(*arrays, always), always), attend(quantise(*arrays, static), static)
    assert result.refetch.all()
    assert np.array_equal(result.probabilities, whole.probabilities)
    assert not whole.refetch.any()


def test_refetched_rows_hold_the_second_pass_and_the_others_the_first():
    form = AttentionFormat(msb_bits=4, lsb_bits=4, threshold=0.3)
    arrays = draw(2, 16, 16, 16, 5)
    mixed = attend(quantise(*arrays, form), form)
    first, second = (
        attend(quantise(*arrays, form), replace(form, threshold=threshold)).probabilities
        for threshold in (0, 1.0)
    )
    assert 0 < mixed.refetch.sum() < mixed.refetch.size
    assert np.array_equal(mixed.probabilities[mixed.refetch], second[mixed.refetch])
    assert np.array_equal(mixed.probabilities[~mixed.refetch], first[~mixed.refetch])


def test_a_causal_row_ignores_later_keys():
    form = AttentionFormat()
    operands = quantise(*draw(2, 6, 6, 8, 3), form)
    changed = replace(operands, key=operands.key.copy(), value=operands.value.copy())
    changed.key[:, 5], changed.value[:, 5] = 31, 31
    causal = np.tril(np.ones((6, 6), bool))
    first, second = (attend(each, form, valid=causal) for each in (operands, changed))
    assert np.array_equal(first.outputs[:, :5], second.outputs[:, :5])
    assert not np.array_equal(first.outputs[:, 5], second.outputs[:, 5])


def test_scores_saturate_and_scales_beyond_the_format_are_refused():
    form = AttentionFormat()
    large = np.full((1, 1, 4), 511)
    assert score_rows(large, large, 1.0, form).tolist() == [[[form.score.highest]]]
    assert score_rows(large, -large, 1.0, form).tolist() == [[[form.score.lowest]]]
    assert score_rows(large, large, 1e-30, form).tolist() == [[[0]]]
    with pytest.raises(ValueError, match=r"below 2\^8, not 1000"):
        score_rows(large, large, 1000.0, form)


def run_cascade(seed: int, layers: list[tuple[float, float]]) -> list[tuple[Cascade, LayerResult]]:
    """A cascade over drawn layers of 4 heads and 20 tokens; before each layer, its kept fractions."""
    form, state, history = AttentionFormat(), Cascade.start(20, 4), []
    for layer, (token_keep, head_keep) in enumerate(layers):
        state = state.prune(token_keep, head_keep)
        whole = draw(4, 20, 20, 16, seed * 100 + layer)
        left = (array[np.ix_(state.heads, state.tokens)] for array in whole)
        result = attend(quantise(*left, form), form, value_keep=0.5)
        state = state.account(result)
        history.append((state, result))
    return history


@pytest.mark.parametrize("seed", range(3))
def test_pruned_tokens_and_heads_stay_pruned_and_their_scores_stand_still(seed):
    history = run_cascade(seed, [(1.0, 1.0), (0.7, 1.0), (0.5, 0.75), (0.5, 0.5), (0.1, 0.5)])
    states = [state for state, _ in history]
    assert [len(state.tokens) for state in states] == [20, 14, 10, 10, 2]
    assert [len(state.heads) for state in states] == [4, 4, 3, 2, 2]
    for before, after in pairwise(states):
        assert set(after.tokens) <= set(before.tokens)
        assert set(after.heads) <= set(before.heads)
        gone = np.setdiff1d(np.arange(20), after.tokens)
        assert np.array_equal(after.token_scores[gone], before.token_scores[gone])
        lowest_kept = before.token_scores[after.tokens].min()
        dropped = np.setdiff1d(before.tokens, after.tokens)
        assert (before.token_scores[dropped] <= lowest_kept).all()


def test_scores_are_the_sums_over_all_layers_so_far():
    history = run_cascade(1, [(1.0, 1.0), (0.5, 0.5)])
    (first, _), (second, result) = history
    tokens, heads = np.zeros(20, int), np.zeros(4, int)
    for state, layer in history:
        for key, token in enumerate(state.tokens):
            tokens[token] += layer.probabilities[:, :, key].sum()
        for row, head in enumerate(state.heads):
            heads[head] += np.abs(layer.outputs[row]).sum()
    assert second.token_scores.tolist() == tokens.tolist()
    assert second.head_scores.tolist() == heads.tolist()
    assert result.probabilities.shape == (2, 10, 10)
    assert not np.array_equal(first.token_scores, second.token_scores)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"msb_bits": 1}, "msb_bits must be between 2 and 12, not 1"),
        ({"lsb_bits": 5}, "lsb_bits must be between 0 and 4, not 5"),
        ({"threshold": 1.5}, "threshold must be between 0 and 1, not 1.5"),
        ({"output_fraction_bits": 13}, "output_fraction_bits must be between 0 and 12, not 13"),
    ],
)
def test_widths_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        AttentionFormat(**wrong)


@pytest.mark.torch
def test_the_layer_comes_close_to_pytorch():
    torch = pytest.importorskip("torch")
    arrays = draw(2, 8, 16, 32, 7)
    theirs = torch.nn.functional.scaled_dot_product_attention(*(torch.from_numpy(a) for a in arrays)).numpy()
    result = attend(quantise(*arrays, PRECISE), PRECISE)
    assert np.abs(result.outputs * result.output_scale - theirs).max() < 0.03
