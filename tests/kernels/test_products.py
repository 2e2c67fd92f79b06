"""N:M products against exact sums: integers equal, floats within a bound from term count and epsilon."""

import numpy as np
import pytest
from drawn import ELEMENTS, LAYOUTS, compressed, laid_out, patterns, real, weights
from hypothesis import example, given
from hypothesis import strategies as st

from accelsim.golden.formats import NM
from accelsim_kernels import lanes, matmul, pack, products, unpack

shapes = st.tuples(st.integers(0, 20), st.integers(0, 40), st.integers(0, 70))


def activations(element: str, shape: tuple[int, int], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed + 1)
    if element == "int8":
        return rng.integers(-128, 128, shape).astype(np.int8)
    return rng.standard_normal(shape).astype(np.float32)


def agrees(found: np.ndarray, stored: NM, given: np.ndarray) -> None:
    """Exact for integers; else within the error bound of the sums that are made."""
    dense, exact_given = real(stored.decode()), given.astype(np.float64)
    exact = exact_given @ dense.T
    assert found.shape == exact.shape
    if stored.values.dtype == np.int8:
        assert found.dtype == np.int32
        assert np.array_equal(found, exact)
        return
    assert found.dtype == np.float32
    bound = products.error_bound(pack(stored), given, np.abs(exact_given) @ np.abs(dense).T)
    assert (np.abs(found - exact) <= bound).all()


@given(st.sampled_from(ELEMENTS), patterns(), shapes, st.sampled_from(LAYOUTS), st.integers(0, 99))
@example("fp32", (2, 8), (1, 16, 64), "plain", 0)
@example("fp16", (2, 4), (0, 16, 64), "plain", 0)
@example("bf16", (2, 8), (3, 0, 64), "plain", 0)
@example("int8", (1, 32), (3, 17, 0), "plain", 0)
@example("int8", (32, 32), (9, 17, 70), "transposed", 0)
def test_a_product_is_the_sum_of_its_terms(element, pattern, shape, layout, seed) -> None:
    rows, outputs, length = shape
    stored = compressed(weights(element, (outputs, length), seed), *pattern)
    given_rows = laid_out(activations(element, (rows, length), seed), layout)
    agrees(matmul(pack(stored), given_rows), stored, given_rows)


@given(st.sampled_from(ELEMENTS), patterns(), st.integers(0, 40), st.integers(0, 70), st.integers(0, 99))
def test_packed_weights_come_back(element, pattern, outputs, length, seed) -> None:
    stored = compressed(weights(element, (outputs, length), seed), *pattern)
    back = unpack(pack(stored))
    assert back.values.dtype == stored.values.dtype
    assert back.values.tobytes() == stored.values.tobytes()
    assert np.array_equal(back.indices, stored.indices)
    assert (back.n, back.m, back.length) == (stored.n, stored.m, stored.length)


@pytest.mark.parametrize("rows", [1, 2, 67])
def test_threads_and_chunks_change_nothing_but_the_order_of_sums(rows) -> None:
    stored = compressed(weights("fp32", (96, 1500), 3), 2, 8)
    given_rows = activations("fp32", (rows, 1500), 3)
    assert pack(stored).nbytes * 67 > products.SERIAL_BYTES
    agrees(matmul(pack(stored), given_rows), stored, given_rows)


def test_half_precision_activations_are_widened() -> None:
    stored = compressed(weights("fp16", (17, 40), 1), 2, 4)
    given_rows = activations("fp16", (3, 40), 1).astype(np.float16)
    agrees(matmul(pack(stored), given_rows), stored, given_rows)


def test_packed_indices_and_values_are_all_that_memory_moves() -> None:
    packed = pack(compressed(weights("fp16", (64, 256), 1), 2, 8))
    assert packed.nbytes == 64 * 256 // 4 * (2 + 0.5)


def test_an_index_that_is_packed_wrongly_is_noticed() -> None:
    stored = compressed(weights("int8", (16, 16), 5), 2, 8)
    packed = pack(stored)
    packed.words[0] ^= 1
    ones = np.arange(16, dtype=np.int8)[None]
    with pytest.raises(AssertionError):
        agrees(matmul(packed, ones), stored, ones)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: matmul(p, np.zeros((1, 15), np.float32)), "activations must be (rows, 16)"),
        (lambda p: matmul(p, np.zeros(16, np.float32)), "activations must be (rows, 16)"),
        (lambda p: matmul(p, np.zeros((1, 16), np.int64)), "must be float32 or float16, not int64"),
        (lambda _: pack(compressed(np.zeros((2, 99), np.float32), 1, 33)), "M from 2 to 32"),
        (lambda _: pack(NM.encode(np.zeros((2, 8)), 2, 4)), "weights must be of float32 (fp32), float16"),
        (lambda _: pack(NM.encode(np.zeros(8, np.float32), 2, 4)), "must be of a matrix"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(change, message) -> None:
    packed = pack(compressed(weights("fp32", (4, 16), 0), 2, 8))
    with pytest.raises(ValueError, match=r"^[^\n]*$") as refused:
        change(packed)
    assert message in str(refused.value)


def test_sixteen_lanes_are_what_the_packing_says() -> None:
    assert lanes.WIDTH == 16
