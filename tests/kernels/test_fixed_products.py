"""Integer products and quantisation by rows: equal to golden, to the last bit."""

import numpy as np
import pytest
from drawn import LAYOUTS, laid_out
from hypothesis import example, given
from hypothesis import strategies as st

from accelsim.golden.fixed import symmetric_quantise
from accelsim.golden.matmul import matmul_integer
from accelsim_kernels.fixed_products import matmul_fixed, pack_pairs, safe_pairs
from accelsim_kernels.quantisation import dequantise_rows, quantise_rows

shapes = st.tuples(st.integers(0, 20), st.integers(0, 40), st.integers(0, 70))


def product(rows: np.ndarray, weights: np.ndarray, safe: int | None = None) -> np.ndarray:
    return matmul_fixed(rows, pack_pairs(weights), len(weights), safe or safe_pairs(rows, weights))


@given(shapes, st.integers(2, 16), st.sampled_from(LAYOUTS), st.integers(0, 99))
@example((1, 16, 64), 12, "plain", 0)
@example((9, 17, 1), 16, "transposed", 0)
def test_a_product_is_golden_s(shape, bits, layout, seed) -> None:
    count, outputs, length = shape
    rng = np.random.default_rng(seed)
    highest = (1 << (bits - 1)) - 1
    rows, weights = (rng.integers(-highest, highest + 1, (n, length)) for n in (count, outputs))
    found = product(laid_out(rows.astype(np.int16), layout), weights)
    assert np.array_equal(found, matmul_integer(rows, weights))


@pytest.mark.parametrize("length", [1024, 1025])
def test_the_largest_sums_pass_32_bits_unharmed(length) -> None:
    rows, weights = np.full((8, length), 32767), np.full((40, length), -32767)
    assert np.array_equal(product(rows, weights), matmul_integer(rows, weights))
    assert not np.array_equal(product(rows, weights, safe=length), matmul_integer(rows, weights))


def test_what_a_pair_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^operands must be within \+-32767, not reach 32768$"):
        safe_pairs(np.array([[-32768]]), np.array([[1]]))
    with pytest.raises(ValueError, match=r"^activations must have 8 columns"):
        matmul_fixed(np.zeros((1, 5), np.int16), pack_pairs(np.zeros((2, 8))), 2, 1)


@given(
    st.tuples(st.integers(0, 9), st.integers(0, 40)),
    st.integers(2, 16),
    st.sampled_from((np.float32, np.float64)),
    st.sampled_from(LAYOUTS),
    st.integers(0, 99),
)
def test_rows_are_quantised_as_golden_quantises_them(shape, bits, kind, layout, seed) -> None:
    rng = np.random.default_rng(seed)
    rows = (rng.standard_normal(shape) * rng.choice([0, 1e-30, 1, 1e30], (shape[0], 1))).astype(kind)
    raw, scales = quantise_rows(laid_out(rows, layout), bits)
    wanted, wanted_scales = symmetric_quantise(rows, bits, over=(1,))
    assert np.array_equal(raw, wanted)
    assert np.array_equal(scales, wanted_scales[:, 0])
    back = np.empty(shape, np.float32)
    ones = np.ones(shape[1])
    dequantise_rows(raw.astype(np.int64), scales, ones, back)
    assert np.array_equal(back, (wanted * wanted_scales).astype(np.float32))


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_with_its_row(number) -> None:
    rows = np.zeros((4, 3), np.float32)
    rows[2, 1] = number
    with pytest.raises(ValueError, match=r"^numbers to quantise must be finite, not those of row 2$"):
        quantise_rows(rows, 8)


def test_other_widths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^bits must be between 2 and 16, not 17$"):
        quantise_rows(np.zeros((1, 1)), 17)
