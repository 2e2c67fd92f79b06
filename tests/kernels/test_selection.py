"""Selections against golden, index by index, with ties wherever they hurt."""

import numpy as np
import pytest
from drawn import LAYOUTS, compressed, laid_out, patterns, weights
from hypothesis import example, given
from hypothesis import strategies as st

from accelsim.golden import topk
from accelsim.golden.formats import NM, reduce_nm
from accelsim_kernels import select_both, select_nm, top_k_indices, top_k_mask

shapes = st.tuples(st.integers(0, 40), st.integers(0, 40))
numbers = st.sampled_from(
    (np.uint8, np.int16, np.uint16, np.int32, np.int64, np.float16, np.float32, np.float64)
)


def same(found: NM, wanted: NM) -> None:
    assert (found.n, found.m, found.length) == (wanted.n, wanted.m, wanted.length)
    assert np.array_equal(found.indices, wanted.indices)
    assert found.values.tobytes() == wanted.values.tobytes()


@given(
    st.sampled_from(("fp32", "fp16", "int8")),
    patterns(),
    shapes,
    st.sampled_from(LAYOUTS),
    st.integers(0, 99),
)
@example("fp16", (2, 8), (9, 19), "plain", 0)
def test_both_directions_are_golden_s(element, pattern, shape, layout, seed) -> None:
    dense = laid_out(weights(element, shape, seed), layout)
    forward, backward = select_both(dense, *pattern)
    same(select_nm(dense, *pattern), compressed(dense, *pattern))
    same(forward, compressed(dense, *pattern))
    same(backward, compressed(np.ascontiguousarray(dense.T), *pattern))


@given(patterns(), st.tuples(st.integers(1, 9), st.integers(1, 40)), st.integers(0, 99))
def test_every_word_is_ranked_as_sore_ranks_it(pattern, shape, seed) -> None:
    """NaN, infinities and minus zero too."""
    words = np.random.default_rng(seed).choice(
        np.array([0, 0x8000, 0x7C00, 0xFC00, 0x7E01, 0xFE01, 0x3C00, 0xBC00, 1], np.uint16), shape
    )
    found, wanted = select_nm(words.view(np.float16), *pattern), reduce_nm(words, *pattern)
    assert np.array_equal(found.indices, wanted.indices)
    assert np.array_equal(found.values.view(np.uint16), wanted.values)


@given(numbers, st.lists(st.integers(0, 6), min_size=0, max_size=2), st.integers(1, 60), st.data())
def test_top_k_is_golden_s(kind, outer, length, data) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    scores = rng.integers(0, 9, (*outer, length)).astype(kind)
    if np.dtype(kind).kind in "if":
        scores -= kind(4)
    k = data.draw(st.integers(1, length))
    assert np.array_equal(top_k_mask(scores, k), topk.top_k_mask(scores, k))
    assert np.array_equal(top_k_indices(scores, k), topk.top_k_indices(scores, k))


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=40), st.data())
def test_top_k_of_any_floats(scores, data) -> None:
    row = np.array(scores, np.float32)
    k = data.draw(st.integers(1, len(scores)))
    assert np.array_equal(top_k_mask(row, k), topk.top_k_mask(row, k))


@pytest.mark.parametrize("k", [0, 6])
def test_a_k_that_no_row_has_is_refused(k) -> None:
    with pytest.raises(ValueError, match=rf"^k must be between 1 and the 5 values of a row, not {k}$"):
        top_k_mask(np.zeros((2, 5)), k)


def test_nan_has_no_rank() -> None:
    with pytest.raises(ValueError, match="not NaN"):
        top_k_mask(np.array([1.0, np.nan]), 1)


def test_weights_of_other_axes_are_refused() -> None:
    with pytest.raises(ValueError, match="must be of a matrix, not of 3 axes"):
        select_nm(np.zeros((2, 2, 2), np.float32), 1, 2)
