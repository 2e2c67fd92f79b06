"""Floating-point units by golden and step model: the one NaN, exact products, and what is refused."""

import numpy as np
import pytest

from accelsim.golden.floating import FP16, FP32, add, convert, multiply, multiply_add
from accelsim.units import floating
from accelsim.units.floating import Model, cycles


def single(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32).view(np.uint32)


def test_every_nan_is_the_canonical_one():
    infinity = single(np.inf, -np.inf)
    noisy = np.array([0x7F800001, 0xFFFFFFFF], np.uint32)
    assert add(infinity, infinity[::-1]).tolist() == [0x7FC00000] * 2
    assert add(noisy, single(1, 1)).tolist() == [0x7FC00000] * 2
    assert multiply(infinity, single(0, 0), FP32, FP32).tolist() == [0x7FC00000] * 2
    assert convert(noisy, FP32, FP16).tolist() == [0x7E00] * 2
    assert convert(np.array([0x7C01, 0xFFFF], np.uint16), FP16, FP32).tolist() == [0x7FC00000] * 2


def test_canonical_changes_nothing_that_numpy_calls_a_number():
    words = np.arange(1 << 16, dtype=np.uint16)
    wide = words.view(np.float16).astype(np.float32)
    numbers = ~np.isnan(wide)
    assert np.array_equal(convert(words, FP16, FP32)[numbers], wide.view(np.uint32)[numbers])
    assert np.array_equal(convert(convert(words, FP16, FP32), FP32, FP16)[numbers], words[numbers])


def test_a_product_of_halves_is_exact_in_single():
    words = np.random.default_rng(7).integers(0, 1 << 16, (2, 4000)).astype(np.uint16)
    words = words[:, np.isfinite(words.view(np.float16)).all(axis=0)]
    exact = np.prod(words.view(np.float16).astype(np.float64), axis=0)
    product = multiply(words[0], words[1], FP16, FP32).view(np.float32)
    assert np.array_equal(product.astype(np.float64), exact)


def test_multiply_add_rounds_twice():
    one = np.float32(1) + np.float32(2**-23)
    square = one * one
    assert multiply_add(single(one), single(one), single(-square)).tolist() == [0]


@pytest.mark.parametrize("latency", [0, 1, 7])
def test_a_result_is_offered_after_the_latency(latency):
    parameters = floating.SingleAdder(latency=latency)
    model, rows = Model(parameters), []
    payload = parameters.pack([int(word) for word in single(1, 2)])
    for clock in range(latency + 3):
        offered = {"operands_valid": int(clock == 0), "operands_payload": payload, "results_ready": 1}
        rows.append(model.step(offered))
    assert [clock for clock, row in enumerate(rows) if row["results_valid"]] == [latency + 1]
    assert rows[latency + 1]["results_payload"] == single(3)[0]
    assert cycles(parameters, 1) == latency + 2


@pytest.mark.parametrize(
    ("make", "changes", "said"),
    [
        (floating.SingleAdder, {"latency": -1}, "latency must be from 0 to 64, not -1"),
        (floating.MultiplyAdd, {"adder_latency": 65}, "adder_latency must be from 0 to 64, not 65"),
        (floating.HalfMultiplier, {"product": "fp8"}, "product must be fp32 or fp16, not 'fp8'"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(make, changes, said):
    with pytest.raises(ValueError, match=said):
        make(**changes)
