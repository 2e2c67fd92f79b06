"""Integer softmax: within its stated bound of the exact one, for every rounding, degree and divider."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from accelsim.golden.softmax import (
    DEFAULT_FORMAT,
    SoftmaxFormat,
    exp_error_bound,
    exp_negative,
    softmax,
    softmax_error_bound,
)

formats = st.builds(
    SoftmaxFormat,
    score_fraction_bits=st.integers(0, 10),
    exp_fraction_bits=st.integers(12, 28),
    degree=st.integers(1, 6),
    probability_fraction_bits=st.integers(4, 16),
    reciprocal_bits=st.none() | st.integers(16, 24),
    rounding=st.sampled_from(["half_even", "half_up", "floor"]),
)
rows = hnp.arrays(
    np.int64, st.tuples(st.integers(1, 3), st.integers(1, 40)), elements=st.integers(-4000, 4000)
)


def exact(scores: np.ndarray, form: SoftmaxFormat) -> np.ndarray:
    return scipy.special.softmax(np.ldexp(scores.astype(float), -form.score_fraction_bits), axis=-1)


def error(scores: np.ndarray, form: SoftmaxFormat) -> float:
    return float(np.abs(softmax(scores, form) / form.one - exact(scores, form)).max())


@given(formats)
def test_exp_is_within_its_bound_over_its_whole_range(form):
    distance = np.linspace(0, 40 << form.score_fraction_bits, 3001).astype(np.int64)
    expected = np.exp(-np.ldexp(distance.astype(float), -form.score_fraction_bits))
    relative, absolute = exp_error_bound(form)
    result = np.ldexp(exp_negative(distance, form).astype(float), -form.exp_fraction_bits)
    assert (np.abs(result - expected) <= relative * expected + absolute).all()


@given(rows, formats)
def test_softmax_is_within_its_bound(scores, form):
    assert error(scores, form) <= softmax_error_bound(form, scores.shape[-1])


@pytest.mark.parametrize("spread", [0, 1, 4, 16])
def test_a_thousand_keys_stay_within_two_steps_of_the_default_format(spread):
    scores = np.random.default_rng(spread).normal(0, spread * 256, (16, 1024)).astype(np.int64)
    bound = softmax_error_bound(DEFAULT_FORMAT, 1024)
    assert error(scores, DEFAULT_FORMAT) <= bound < 2 / DEFAULT_FORMAT.one


def test_one_dominant_and_many_faint_keys_stay_within_the_bound():
    scores = np.full((1, 1024), -10 * 256)
    scores[0, 0] = 0
    for rounding in ("half_even", "half_up", "floor"):
        form = replace(DEFAULT_FORMAT, rounding=rounding)
        assert error(scores, form) <= softmax_error_bound(form, 1024)


def test_a_lower_degree_breaks_the_bound_of_the_higher_one():
    fine = SoftmaxFormat(score_fraction_bits=12, probability_fraction_bits=16)
    scores = np.stack([np.zeros(4000), np.arange(4000)], axis=-1).astype(np.int64)
    assert error(scores, fine) <= softmax_error_bound(fine, 2)
    assert error(scores, replace(fine, degree=2)) > softmax_error_bound(fine, 2)


def test_a_taylor_expansion_without_range_reduction_would_break_the_exp_bound():
    # The sheet's warning: degree 5 at x = -4 gives -3.5 instead of 0.018.
    naive = sum((-4.0) ** power / math.factorial(power) for power in range(6))
    relative, absolute = exp_error_bound(DEFAULT_FORMAT)
    assert abs(naive - math.exp(-4)) > relative + absolute
    ours = int(exp_negative(np.array([4 << 8]))[0]) / 2**24
    assert abs(ours - math.exp(-4)) <= relative * math.exp(-4) + absolute


@given(rows, st.integers(-(2**30), 2**30))
def test_adding_a_constant_to_a_row_changes_nothing(scores, constant):
    assert np.array_equal(softmax(scores), softmax(scores + constant))


@given(rows)
def test_rising_scores_have_probabilities_that_rise_but_for_rounding(scores):
    probabilities = softmax(scores)
    for row, result in zip(scores, probabilities, strict=True):
        ranked = result[np.argsort(row)]
        assert (np.diff(ranked) >= -2).all()


def test_a_single_key_has_probability_one():
    assert softmax(np.array([[-12345]])).tolist() == [[4096]]


def test_a_causal_mask_equals_the_softmax_of_the_shorter_row():
    scores = np.random.default_rng(1).integers(-1000, 1000, (6, 6))
    masked = softmax(scores, valid=np.tril(np.ones((6, 6), bool)))
    for row in range(6):
        assert np.array_equal(masked[row, : row + 1], softmax(scores[row, : row + 1]))
        assert not masked[row, row + 1 :].any()


def test_a_huge_score_outside_the_mask_changes_nothing():
    scores = np.array([100, 50, 2**40])
    masked = softmax(scores, valid=np.array([True, True, False]))
    assert masked.tolist() == [*softmax(scores[:2]).tolist(), 0]


def test_narrow_integers_do_not_overflow():
    scores = np.array([[30000, -30000, 29000]], dtype=np.int16)
    assert np.array_equal(softmax(scores), softmax(scores.astype(np.int64)))


def test_a_row_without_a_valid_score_is_refused():
    with pytest.raises(ValueError, match="at least one valid score"):
        softmax(np.zeros((2, 3), int), valid=np.array([[True] * 3, [False] * 3]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"exp_fraction_bits": 40}, "exp_fraction_bits must be between 8 and 28, not 40"),
        ({"degree": 0}, "degree must be between 1 and 8, not 0"),
        ({"score_fraction_bits": 25}, "score_fraction_bits must be between 0 and 24, not 25"),
        ({"reciprocal_bits": 8}, "reciprocal_bits must be between 12 and 24, not 8"),
        ({"rounding": "nearest"}, "rounding must be one of"),
    ],
)
def test_a_format_that_cannot_be_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        SoftmaxFormat(**wrong)


@pytest.mark.torch
def test_softmax_equals_pytorch_within_the_bound():
    torch = pytest.importorskip("torch")
    scores = np.random.default_rng(2).integers(-2000, 2000, (8, 128))
    theirs = torch.softmax(torch.from_numpy(scores / 256), dim=-1).numpy()
    assert np.abs(softmax(scores) / 4096 - theirs).max() <= softmax_error_bound(DEFAULT_FORMAT, 128)
