"""Pruning decisions and the schedule, against plain Python and the rules of the sheet."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from accelsim.golden import attention
from accelsim.golden.attention import HEAD_START, TOKEN_START, keep_count, schedule

layer_counts = st.integers(2, 48)
averages = st.floats(0.02, 1.0)
starts = st.sampled_from([0.0, TOKEN_START, HEAD_START, 0.9, 1.0])


@given(layer_counts, averages, starts)
def test_the_mean_over_all_layers_is_what_was_asked_for(layers, average, start):
    assume(average * layers > 1.001)
    fractions = schedule(layers, average, start)
    assert len(fractions) == layers
    assert np.mean(fractions) == pytest.approx(average, abs=1e-9)


@given(layer_counts, averages, starts)
def test_kept_fractions_never_rise_and_lie_above_zero_up_to_one(layers, average, start):
    assume(average * layers > 1.001)
    fractions = schedule(layers, average, start)
    assert fractions[0] == 1
    assert min(fractions) > 0
    assert all(before >= after - 1e-12 for before, after in pairwise(fractions))


@pytest.mark.parametrize(
    ("layers", "start", "unpruned"), [(12, 0.15, 2), (24, 0.15, 4), (12, 0.3, 4), (6, 0.15, 1)]
)
def test_the_papers_share_of_first_layers_is_unpruned_and_the_rest_falls_in_a_line(layers, start, unpruned):
    fractions = schedule(layers, 0.7, start)
    assert fractions[:unpruned] == (1.0,) * unpruned
    assert np.diff(fractions[unpruned:]) == pytest.approx(fractions[-1] - fractions[-2], abs=1e-9)
    # The sheet's rule: r_start + r_end is twice the mean of the pruned layers.
    mean = np.mean(fractions[unpruned:])
    assert fractions[unpruned] + fractions[-1] == pytest.approx(2 * mean)


def test_twelve_layers_at_one_half_have_the_fractions_of_the_rule():
    assert schedule(12, 0.5) == pytest.approx([1, 1, *np.linspace(0.6, 0.2, 10)])


def test_keeping_everything_prunes_nothing():
    assert schedule(5, 1.0) == (1.0,) * 5 == schedule(5, 1, 0.3)


def test_a_small_average_gives_up_unpruned_layers_but_never_the_first():
    assert schedule(6, 0.3, HEAD_START) == pytest.approx([1, *np.linspace(0.24, 0.08, 5)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((12, 0.05), r"above 0.08333 \(the first of 12 layers keeps all\), not 0.05"),
        ((12, 0.0), "above 0 and at most 1, not 0.0"),
        ((12, 1.5), "above 0 and at most 1, not 1.5"),
        ((0, 0.5), "layers must be at least 1, not 0"),
        ((12, 0.5, -0.1), "start_fraction must be between 0 and 1, not -0.1"),
        ((1, 0.5), "above 1"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        schedule(*arguments)


# Shares of 1024 keys in the published traces, and the counts that they fetch (SpAtten sheet 1.2, 1.4).
TRACE = [(0.9, 921), (0.8, 819), (0.7, 716), (0.6, 614), (0.3, 307), (0.2, 204), (0.1, 102)]


@pytest.mark.parametrize(("fraction", "count"), TRACE)
def test_kept_counts_equal_the_published_traces(fraction, count):
    assert keep_count(1024, fraction) == count


@pytest.mark.parametrize(("keys", "fraction", "values"), [(921, 0.2, 184), (204, 0.2, 40), (819, 0.3, 245)])
def test_local_value_counts_equal_the_published_traces(keys, fraction, values):
    assert keep_count(keys, fraction) == values


@given(st.integers(1, 5000), st.integers(1, 100))
def test_kept_counts_are_the_floor_of_the_exact_percentage_but_never_zero(count, percent):
    assert keep_count(count, percent / 100) == max(1, count * percent // 100)


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.01])
def test_a_kept_fraction_outside_zero_to_one_is_refused(fraction):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        keep_count(10, fraction)


def test_token_importance_adds_every_probability_of_a_key():
    rng = np.random.default_rng(0)
    probabilities = rng.integers(0, 4096, (3, 5, 7)).astype(np.uint16)
    before = rng.integers(0, 100, 7).astype(np.uint32)
    expected = [int(before[k]) + sum(int(p) for p in probabilities[:, :, k].ravel()) for k in range(7)]
    after = attention.token_importance(before, probabilities)
    assert after.tolist() == expected
    assert after.dtype == np.uint32


def test_head_importance_adds_magnitudes_not_values():
    outputs = np.array([[[1, -2], [3, -4]], [[5, 5], [-5, -5]]])
    assert attention.head_importance(np.array([100, 0]), outputs).tolist() == [110, 20]


def test_floats_and_batches_are_taken_as_they_come():
    probabilities = np.random.default_rng(1).random((2, 3, 4, 6), dtype=np.float32)
    after = attention.token_importance(np.zeros((2, 6)), probabilities)
    assert after == pytest.approx(probabilities.astype(float).sum(axis=(1, 2)))
    kept = attention.select(after, 3)
    assert kept.shape == (2, 3)
    assert (np.diff(kept) > 0).all()


def test_selection_keeps_the_best_in_order_and_the_lowest_index_on_a_tie():
    assert attention.select(np.array([3, 9, 3, 1, 9, 3]), 4).tolist() == [0, 1, 2, 4]


def test_every_row_drops_its_own_smallest_values():
    probabilities = np.array([[0.5, 0.2, 0.3], [0.1, 0.1, 0.8]])
    assert attention.local_values(probabilities, 2).tolist() == [[1, 0, 1], [1, 0, 1]]
    assert attention.local_values(probabilities, 3).all()


def test_only_flat_rows_need_their_lsbs_and_the_threshold_itself_does_not():
    rows = np.array([[0.05, 0.95], [0.099, 0.01], [0.1, 0.1]])
    assert attention.needs_lsb(rows, 0.1).tolist() == [False, True, False]
