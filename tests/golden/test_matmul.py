"""Matmul: exact integers, and fp32 sums bit for bit in the stated order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.golden.fixed import Fixed
from accelsim.golden.formats import NM, select_nm
from accelsim.golden.matmul import fp16_error_bound, matmul_fp16, matmul_integer, matmul_nm

shapes = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 40))
seeds = st.integers(0, 2**32 - 1)


def operands(shape: tuple[int, int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Float16 activations and weights over many magnitudes, some zero."""
    m, n, k = shape
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal((m + n, k)) * 2.0 ** rng.integers(-8, 8, (m + n, k))
    drawn[rng.random(drawn.shape) < 0.2] = 0
    return drawn[:m].astype(np.float16), drawn[m:].astype(np.float16)


def one_by_one(left: np.ndarray, right: np.ndarray, accumulators: int = 1) -> np.float32:
    """The sum of one output, scalar after scalar."""
    sums = [np.float32(0)] * accumulators
    for k, (a, b) in enumerate(zip(left, right, strict=True)):
        sums[k % accumulators] = np.float32(sums[k % accumulators] + np.float32(a) * np.float32(b))
    total = sums[0]
    for other in sums[1:]:
        total = np.float32(total + other)
    return total


@given(shapes, seeds)
def test_integer_products_equal_python_integers(shape, seed):
    m, n, k = shape
    rng = np.random.default_rng(seed)
    a, b = rng.integers(-(2**27), 2**27, (m, k)), rng.integers(-(2**27), 2**27, (n, k))
    expected = [[sum(int(x) * int(y) for x, y in zip(p, q, strict=True)) for q in b] for p in a]
    assert matmul_integer(a, b).tolist() == expected


@given(shapes, seeds)
def test_a_wrapping_accumulator_holds_what_wrapping_at_every_step_leaves(shape, seed):
    m, n, k = shape
    rng = np.random.default_rng(seed)
    a, b = rng.integers(-128, 128, (m, k)), rng.integers(-128, 128, (n, k))
    register = Fixed(integer_bits=15, fraction_bits=0, overflow="wrap")
    stepwise = np.zeros((m, n), np.int16)
    for step in range(k):
        stepwise += np.outer(a[:, step], b[:, step]).astype(np.int16)
    assert np.array_equal(matmul_integer(a, b, register), stepwise)


@given(shapes, seeds, st.integers(1, 5))
def test_fp16_sums_equal_scalar_additions_in_the_stated_order(shape, seed, accumulators):
    a, b = operands(shape, seed)
    product = matmul_fp16(a, b, accumulators)
    expected = [[one_by_one(row, column, accumulators) for column in b] for row in a]
    assert np.array_equal(product, np.array(expected, np.float32))


def test_the_check_of_order_tells_descending_k_apart():
    a, b = operands((3, 3, 64), 0)
    assert not np.array_equal(matmul_fp16(a, b), matmul_fp16(a[:, ::-1], b[:, ::-1]))


@given(shapes, seeds, st.integers(1, 4))
def test_fp16_products_are_within_their_bound_of_float64(shape, seed, accumulators):
    a, b = operands(shape, seed)
    exact = a.astype(float) @ b.astype(float).T
    bound = fp16_error_bound(a, b, accumulators)
    assert (np.abs(matmul_fp16(a, b, accumulators) - exact) <= bound + 1e-12 * np.abs(exact)).all()


@given(shapes, seeds, st.sampled_from([(1, 4), (2, 4), (2, 8), (4, 4), (3, 5)]))
def test_compressed_weights_equal_the_dense_product_of_the_masked_weights_bit_for_bit(shape, seed, pattern):
    a, b = operands(shape, seed)
    masked = np.where(select_nm(b, *pattern), b, np.float16(0))
    assert np.array_equal(matmul_nm(a, NM.encode(masked, *pattern)), matmul_fp16(a, masked))


def test_a_wrong_index_is_seen_in_the_compressed_product():
    a, b = operands((4, 4, 32), 1)
    masked = np.where(select_nm(b, 2, 8), b, np.float16(0))
    code = NM.encode(masked, 2, 8)
    code.indices[0, 0] = code.indices[0, 0, ::-1]
    assert not np.array_equal(matmul_nm(a, code), matmul_fp16(a, masked))


@given(seeds, st.integers(1, 8))
def test_every_product_of_two_halves_is_exact_and_subnormals_are_kept(seed, accumulators):
    rng = np.random.default_rng(seed)
    # Any bits but those of infinities and NaN, every fourth one a subnormal.
    bits = rng.integers(0, 0x7C00, (2, 64)) | rng.integers(0, 2, (2, 64)) << 15
    bits[:, ::4] &= 0x83FF
    a, b = bits.astype(np.uint16).view(np.float16)
    exact = a.astype(np.float64) * b.astype(np.float64)
    assert np.array_equal(matmul_fp16(a[:, None], b[:, None]).diagonal(), exact.astype(np.float32))
    assert np.array_equal(exact.astype(np.float32).astype(np.float64), exact)
    masked = np.where(select_nm(b[None], 2, 8), b[None], np.float16(0))
    code = NM.encode(masked, 2, 8)
    stored = np.flatnonzero(select_nm(masked, 2, 8)[0])
    expected = one_by_one(a[stored], masked[0, stored], accumulators)
    assert matmul_nm(a[None], code, accumulators)[0, 0] == expected


def test_interleaved_compressed_weights_follow_their_stored_position():
    a, b = operands((2, 3, 32), 2)
    masked = np.where(select_nm(b, 2, 4), b, np.float16(0))
    product = matmul_nm(a, NM.encode(masked, 2, 4), accumulators=3)
    for row, output in np.ndindex(2, 3):
        stored = np.flatnonzero(select_nm(masked, 2, 4)[output])
        assert product[row, output] == one_by_one(a[row, stored], masked[output, stored], 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: matmul_fp16(np.ones((2, 3), np.float16), np.ones((2, 4), np.float16)),
            r"\(m, k\) and \(n, k\)",
        ),
        (lambda: matmul_fp16(np.ones((2, 3)), np.ones((2, 3))), "must be float16, not float64"),
        (lambda: matmul_integer(np.ones((2, 3)), np.ones((2, 3))), "activations must be integers"),
        (lambda: matmul_integer(np.full((1, 2), 2**31), np.full((1, 2), 2**31)), "must fit in 63 bits"),
        (
            lambda: matmul_fp16(*operands((1, 1, 1), 0), accumulators=0),
            "accumulators must be at least 1, not 0",
        ),
    ],
)
def test_operands_that_do_not_fit_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.torch
def test_fp16_products_equal_pytorch_within_their_bound():
    torch = pytest.importorskip("torch")
    a, b = operands((16, 8, 256), 3)
    theirs = (torch.from_numpy(a).double() @ torch.from_numpy(b).double().T).numpy()
    assert (np.abs(matmul_fp16(a, b) - theirs) <= fp16_error_bound(a, b) * (1 + 1e-6)).all()
