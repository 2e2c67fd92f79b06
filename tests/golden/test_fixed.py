"""Fixed point against exact fractions: every rounding, saturation, wrapping, MSB/LSB pairs."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.golden import fixed
from accelsim.golden.fixed import Fixed

roundings = st.sampled_from(["half_even", "half_up", "floor"])
formats = st.builds(
    Fixed,
    integer_bits=st.integers(0, 8),
    fraction_bits=st.integers(1, 8),
    signed=st.booleans(),
    rounding=roundings,
    overflow=st.sampled_from(["saturate", "wrap"]),
)
# Halves and quarters of steps, so that exact ties are common.
reals = st.integers(-(2**14), 2**14).map(lambda n: n / 2**6)

ROUND = {
    "half_even": round,
    "half_up": lambda x: math.floor(x + Fraction(1, 2)),
    "floor": math.floor,
}


def enter(exact: Fraction, target: Fixed) -> int:
    """The raw value of an exact number, in plain Python."""
    raw = ROUND[target.rounding](exact * 2**target.fraction_bits)
    if target.overflow == "saturate":
        return max(target.lowest, min(target.highest, raw))
    return (raw - target.lowest) % 2**target.width + target.lowest


@given(reals, formats)
def test_quantising_equals_exact_arithmetic(value, target):
    assert target.quantise([value]).tolist() == [enter(Fraction(value), target)]


@given(reals, formats, formats)
def test_converting_equals_exact_arithmetic_on_the_stored_number(value, source, target):
    raw = source.quantise([value])
    stored = Fraction(int(raw[0]), 2**source.fraction_bits)
    assert target.convert(raw, source).tolist() == [enter(stored, target)]


@given(formats)
def test_every_raw_value_survives_the_way_through_floats(target):
    raw = np.array([target.lowest, target.lowest + 1, 0, 1, target.highest - 1, target.highest])
    raw = raw[(raw >= target.lowest) & (raw <= target.highest)]
    assert np.array_equal(target.quantise(target.to_float(raw)), raw)


@given(st.integers(-(2**40), 2**40), st.integers(0, 12), roundings)
def test_shifting_right_rounds_the_exact_quotient(raw, bits, rounding):
    expected = ROUND[rounding](Fraction(raw, 2**bits))
    assert fixed.shift_right(np.array([raw]), bits, rounding).tolist() == [expected]


@given(st.integers(-(2**20), 2**20), st.integers(1, 64), roundings)
def test_division_rounds_the_exact_quotient(numerator, denominator, rounding):
    expected = ROUND[rounding](Fraction(numerator, denominator))
    assert fixed.divide(np.array([numerator]), np.array([denominator]), rounding).tolist() == [expected]


def test_the_three_roundings_differ_on_ties():
    ties = np.array([-3, -1, 1, 3])
    shifted = {rounding: fixed.shift_right(ties, 1, rounding).tolist() for rounding in ROUND}
    assert shifted == {"half_even": [-2, 0, 0, 2], "half_up": [-1, 0, 1, 2], "floor": [-2, -1, 0, 1]}


def test_a_twelve_bit_word_saturates_or_wraps_as_it_was_told():
    word = {"integer_bits": 3, "fraction_bits": 8}
    assert Fixed(**word).quantise([8.0, -9.0, np.inf]).tolist() == [2047, -2048, 2047]
    assert Fixed(**word, overflow="wrap").quantise([8.0, -9.0]).tolist() == [-2048, 1792]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"integer_bits": -1}, "must be at least 0, not -1 and 4"),
        ({"integer_bits": 60}, "width must be between 1 and 62, not 65"),
        ({"rounding": "up"}, "rounding must be one of .* not 'up'"),
        ({"overflow": "clip"}, "overflow must be one of .* not 'clip'"),
    ],
)
def test_a_format_that_cannot_be_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Fixed(**{"integer_bits": 4, "fraction_bits": 4, **wrong})


def test_nan_is_refused():
    with pytest.raises(ValueError, match="must not be NaN"):
        Fixed(integer_bits=4, fraction_bits=4).quantise([1.0, np.nan])


@pytest.mark.parametrize("bits", [4, 6, 8, 12, 16])
def test_symmetric_quantisation_is_within_half_a_step_and_uses_the_ends(bits):
    values = np.random.default_rng(bits).standard_normal(1000)
    raw, scale = fixed.symmetric_quantise(values, bits)
    assert np.abs(raw * scale - values).max() <= scale / 2 * (1 + 1e-12)
    assert np.abs(raw).max() == 2 ** (bits - 1) - 1
    assert np.array_equal(fixed.symmetric_quantise(-values, bits)[0], -raw)


def test_scales_over_some_axes_are_those_of_each_part_alone():
    values = np.random.default_rng(3).standard_normal((2, 3, 5, 4)).astype(np.float32)
    values[1, 0] = 0
    raw, scale = fixed.symmetric_quantise(values, 10, over=(-2, -1))
    assert scale.shape == (2, 3, 1, 1)
    for place in np.ndindex(2, 3):
        alone, its_scale = fixed.symmetric_quantise(values[place], 10)
        assert np.array_equal(raw[place], alone)
        assert scale[place].item() == its_scale


def test_all_zeros_quantise_to_zero():
    raw, scale = fixed.symmetric_quantise(np.zeros(3), 8)
    assert (raw.tolist(), scale) == ([0, 0, 0], 1.0)


@given(st.lists(st.integers(-(2**11), 2**11 - 1), min_size=1), st.integers(0, 6))
def test_msb_and_lsb_join_to_the_whole_and_msb_alone_is_a_coarser_value(numbers, lsb_bits):
    raw = np.array(numbers)
    msb, lsb = fixed.split_lsb(raw, lsb_bits)
    assert np.array_equal(fixed.join_lsb(msb, lsb, lsb_bits), raw)
    assert ((lsb >= 0) & (lsb < 2**lsb_bits)).all()
    error = raw - fixed.join_lsb(msb, 0, lsb_bits)
    assert ((error >= 0) & (error < 2**lsb_bits)).all()


@pytest.mark.parametrize(("msb_bits", "lsb_bits"), [(4, 4), (6, 4), (8, 4), (10, 4), (12, 4)])
def test_the_papers_pairs_keep_the_msb_in_its_width(msb_bits, lsb_bits):
    raw, _ = fixed.symmetric_quantise(np.linspace(-1, 1, 4097), msb_bits + lsb_bits)
    msb, _ = fixed.split_lsb(raw, lsb_bits)
    assert -(2 ** (msb_bits - 1)) <= msb.min() < msb.max() <= 2 ** (msb_bits - 1) - 1
