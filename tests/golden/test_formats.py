"""Formats: nothing is lost by packing, N:M keeps the largest by the tie rule, the sheets' patterns."""

import time

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from accelsim.golden.formats import NM, Bitmap, Csr, nm_pattern, reduce_nm, select_nm

patterns = st.integers(1, 9).flatmap(lambda m: st.tuples(st.integers(1, m), st.just(m)))
weights = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=1, max_dims=3, max_side=21),
    elements=st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, -2.5, 1e-30]),
)


def select_by_insertion(row: list[float], n: int, m: int) -> list[bool]:
    """The selection unit element by element: a newcomer replaces the weakest only if strictly larger."""
    kept = [False] * len(row)
    for start in range(0, len(row), m):
        store: list[int] = []
        for position in range(start, min(start + m, len(row))):
            if len(store) < n:
                store.append(position)
                continue
            # Among equally weak ones the latest goes, so that the lowest index stays.
            weakest = min(store, key=lambda i: (abs(row[i]), -i))
            if abs(row[position]) > abs(row[weakest]):
                store[store.index(weakest)] = position
        for position in store:
            kept[position] = True
    return kept


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=1, max_dims=3, max_side=19)))
def test_a_bitmap_gives_back_its_mask_and_counts_its_ones(mask):
    packed = Bitmap.pack(mask)
    assert np.array_equal(packed.unpack(), mask)
    assert packed.kept == mask.sum()


def test_a_bitmap_with_the_wrong_number_of_bytes_is_refused():
    with pytest.raises(ValueError, match="must have 2 bytes"):
        Bitmap((3, 3), np.zeros(3, np.uint8))


@pytest.mark.parametrize("shape", [(1 << 32, 1 << 32), (1 << 40, 1 << 24, 1), (1 << 62, 4)])
def test_a_bitmap_whose_size_would_wrap_in_64_bits_is_refused(shape):
    with pytest.raises(ValueError, match=r"must have [0-9]{18,} bytes"):
        Bitmap(shape, np.zeros(0, np.uint8))


def test_a_bitmap_of_negative_lengths_is_refused():
    with pytest.raises(ValueError, match="lengths >= 0"):
        Bitmap((-2, -4), np.zeros(1, np.uint8))


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(-1, 1))
)
def test_csr_equals_scipy(dense):
    ours, theirs = Csr.encode(dense), scipy.sparse.csr_array(dense)
    assert np.array_equal(ours.values, theirs.data)
    assert np.array_equal(ours.columns, theirs.indices)
    assert np.array_equal(ours.row_starts, theirs.indptr)
    assert np.array_equal(ours.decode(), dense)


@given(weights, patterns)
def test_selection_equals_the_insertion_unit_element_by_element(array, pattern):
    kept = select_nm(array, *pattern)
    rows = array.reshape(-1, array.shape[-1])
    expected = [select_by_insertion(row.tolist(), *pattern) for row in rows]
    assert kept.reshape(rows.shape).tolist() == expected


def test_the_insertion_check_tells_a_not_strict_comparison_apart():
    row = [1.0, -1.0, 1.0, 1.0]
    assert select_nm(np.array(row), 2, 4).tolist() == select_by_insertion(row, 2, 4) == [1, 1, 0, 0]


@given(weights, patterns)
def test_a_selected_array_survives_encoding(array, pattern):
    pruned = np.where(select_nm(array, *pattern), array, np.float32(0))
    code = NM.encode(pruned, *pattern)
    groups = -(-array.shape[-1] // pattern[1])
    assert code.values.shape == code.indices.shape == (*array.shape[:-1], groups, pattern[0])
    assert np.array_equal(code.decode(), pruned)
    assert (np.diff(code.indices.astype(int), axis=-1) > 0).all()


def test_a_short_group_is_filled_at_its_lowest_free_positions():
    code = NM.encode(np.array([0, 0, 0, 7, 0, 0, 0, 0, 0, 3]), 2, 4)
    assert code.indices.tolist() == [[0, 3], [0, 1], [0, 1]]
    assert code.values.tolist() == [[0, 7], [0, 0], [0, 3]]


def test_a_tiny_value_is_never_lost_to_the_filler():
    tiny = np.array([0.0, 0.0, 0.0, 5e-324])
    assert np.array_equal(NM.encode(tiny, 1, 4).decode(), tiny)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_the_most_negative_integer_has_the_largest_magnitude(dtype):
    lowest = np.iinfo(dtype).min
    assert select_nm(np.array([lowest + 1, lowest, 3, 0], dtype), 1, 4).tolist() == [0, 1, 0, 0]


@given(
    hnp.arrays(np.uint16, st.integers(0, 40), elements=st.integers(0, 0xFFFF)),
    patterns,
)
def test_reduced_bits_are_those_of_the_selected_numbers(words, pattern):
    numbers = words.view(np.float16)
    words, numbers = words[~np.isnan(numbers)], numbers[~np.isnan(numbers)]
    code = reduce_nm(words, *pattern)
    chosen = NM.encode(np.where(select_nm(numbers, *pattern), numbers, np.float16(0)), *pattern)
    assert np.array_equal(code.indices, chosen.indices)
    assert np.array_equal(code.values, chosen.values.view(np.uint16))


def test_a_reduction_keeps_nan_above_infinity_and_minus_zero_as_it_is():
    infinity, quiet, minus_zero = 0x7C00, 0xFE00, 0x8000
    code = reduce_nm(np.array([infinity, 0x3C00, quiet, 0, minus_zero, 0, 0, 0], np.uint16), 1, 4)
    assert (code.indices.tolist(), code.values.tolist()) == ([[2], [0]], [[quiet], [minus_zero]])


def test_a_full_group_is_refused_by_name_and_place():
    full = np.zeros((3, 12))
    full[1, 4:7] = 1
    with pytest.raises(
        ValueError, match=r"2:4 groups must keep at most 2 of 4, not 3 \(row \(1,\), elements 4 to 7\)"
    ):
        NM.encode(full, 2, 4)


@pytest.mark.parametrize(("n", "m"), [(5, 4), (0, 4), (1, 0), (-1, 4)])
def test_a_pattern_that_means_nothing_is_refused(n, m):
    with pytest.raises(ValueError, match=f"1 <= N <= M <= 65535, not {n}:{m}"):
        select_nm(np.ones(8), n, m)


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=1, max_dims=2, max_side=40)), st.integers(1, 40))
def test_the_pattern_of_a_mask_is_the_fullest_group(mask, m):
    rows = mask.reshape(-1, mask.shape[-1])
    fullest = max(int(row[start : start + m].sum()) for row in rows for start in range(0, len(row), m))
    assert nm_pattern(mask, [m]) == {m: fullest}


@given(weights, patterns)
def test_a_selected_mask_has_at_most_its_pattern(array, pattern):
    n, m = pattern
    kept = select_nm(array, n, m)
    assert nm_pattern(kept, [m])[m] == min(n, array.shape[-1])


def test_an_all_ones_mask_is_dense_at_every_group_size_it_fills():
    assert nm_pattern(np.ones((4, 12), bool), [2, 4, 300]) == {2: 2, 4: 4, 300: 12}


@pytest.mark.parametrize("shape", [(0,), (0, 8), (3, 0)])
def test_empty_arrays_pass_through(shape):
    empty = np.zeros(shape)
    assert select_nm(empty, 2, 4).shape == shape
    assert NM.encode(empty, 2, 4).decode().shape == shape
    assert nm_pattern(empty.astype(bool), [4]) == {4: 0}


def test_a_large_matrix_takes_seconds_not_minutes():
    array = np.random.default_rng(0).standard_normal((4096, 4096), dtype=np.float32)
    start = time.perf_counter()
    kept = select_nm(array, 2, 8)
    assert nm_pattern(kept, [4, 8, 16])[8] == 2
    assert time.perf_counter() - start < 10
