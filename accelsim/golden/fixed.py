"""Fixed-point numbers as integers: formats, the rounding of every step, and MSB/LSB pairs.

A fixed-point number is an integer `raw` and a format that says raw = value * 2^fraction_bits.
Arrays of raw values are int64; float64 appears only where a real number enters or leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

Raw = npt.NDArray[np.int64]

Rounding = Literal["half_even", "half_up", "floor"]
"""half_even: to nearest, ties to the even neighbour; half_up: ties towards +infinity (add half, drop
the bits); floor: drop the bits."""

Overflow = Literal["saturate", "wrap"]

MOST_BITS = 62
"""Widest format: sums of two still fit in int64."""


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """A fixed-point format: a sign bit if signed, then integer bits, then fraction bits.

    `rounding` and `overflow` say what entering the format does to a number that does not fit it.
    """

    integer_bits: int
    fraction_bits: int
    signed: bool = True
    rounding: Rounding = "half_even"
    overflow: Overflow = "saturate"

    def __post_init__(self) -> None:
        if self.integer_bits < 0 or self.fraction_bits < 0:
            raise ValueError(
                f"integer and fraction bits must be at least 0, "
                f"not {self.integer_bits} and {self.fraction_bits}"
            )
        check_between("width", self.width, 1, MOST_BITS)
        check_rounding(self.rounding)
        if self.overflow not in get_args(Overflow):
            raise ValueError(f"overflow must be one of {get_args(Overflow)}, not {self.overflow!r}")

    @property
    def width(self) -> int:
        """Bits of a number, the sign included."""
        return self.signed + self.integer_bits + self.fraction_bits

    @property
    def lowest(self) -> int:
        """Smallest raw value."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        """Largest raw value."""
        return (1 << (self.width - self.signed)) - 1

    def quantise(self, values: npt.ArrayLike) -> Raw:
        """Raw values of real numbers; refuses NaN, and infinity where it would wrap."""
        scaled = np.ldexp(np.asarray(values, dtype=np.float64), self.fraction_bits)
        if np.isnan(scaled).any():
            raise ValueError("a number to quantise must not be NaN")
        if self.overflow == "saturate":
            # Far beyond the format, so that the rounding below cannot leave int64.
            scaled = np.clip(scaled, -(2.0**MOST_BITS), 2.0**MOST_BITS)
        elif not (np.abs(scaled) <= 2.0**MOST_BITS).all():
            raise ValueError(f"a number that wraps must be within 2^{MOST_BITS} steps of the format")
        return self.fit(_round(scaled, self.rounding).astype(np.int64))

    def to_float(self, raw: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """The real numbers that raw values stand for (exact up to 53 bits)."""
        return np.ldexp(raw.astype(np.float64), -self.fraction_bits)

    def fit(self, raw: Raw) -> Raw:
        """Saturate or wrap integers that already have this format's fraction bits."""
        if self.overflow == "saturate":
            return np.clip(raw, self.lowest, self.highest)
        low_bits = raw & ((1 << self.width) - 1)
        return np.where(low_bits > self.highest, low_bits - (1 << self.width), low_bits)

    def convert(self, raw: Raw, source: Fixed) -> Raw:
        """Raw values of this format from raw values of another: widen exactly, narrow by the rules above."""
        missing = self.fraction_bits - source.fraction_bits
        if missing <= 0:
            return self.fit(shift_right(raw, -missing, self.rounding))
        if source.width + missing > MOST_BITS + 1:
            raise ValueError(f"widening must stay within 63 bits, not {source.width + missing}")
        return self.fit(raw << missing)


def shift_right(raw: Raw, bits: int, rounding: Rounding) -> Raw:
    """raw / 2^bits, rounded to an integer."""
    check_rounding(rounding)
    check_between("bits", bits, 0, MOST_BITS)
    if bits == 0 or rounding == "floor":
        return raw >> bits
    half = 1 << (bits - 1)
    if rounding == "half_up":
        return (raw + half) >> bits
    # One less than half, plus one if the neighbour below is odd: exact ties then reach the even one.
    return (raw + (half - 1) + ((raw >> bits) & 1)) >> bits


def divide(numerator: Raw, denominator: Raw, rounding: Rounding) -> Raw:
    """numerator / denominator for positive denominators, rounded to an integer."""
    check_rounding(rounding)
    if rounding == "floor":
        return numerator // denominator
    if rounding == "half_up":
        return (2 * numerator + denominator) // (2 * denominator)
    quotient, rest = np.divmod(numerator, denominator)
    up = (2 * rest > denominator) | ((2 * rest == denominator) & (quotient % 2 == 1))
    rounded: Raw = quotient + up
    return rounded


def symmetric_quantise(
    values: npt.ArrayLike, bits: int, *, over: tuple[int, ...] | None = None
) -> tuple[Raw, Any]:
    """Integers in +-(2^(bits-1) - 1) and the scale that gives values = integers * scale, half to even.

    Linear and symmetric (SpAtten, section 3): no zero point, the most negative code is unused. One scale
    for the whole array, a float, or for all that differ only on the axes `over`, which it keeps at length
    1. All zeros have scale 1. Error at most scale / 2.
    """
    check_between("bits", bits, 2, 32)
    real = np.asarray(values, dtype=np.float64)
    if not np.isfinite(real).all():
        raise ValueError("numbers to quantise must be finite")
    highest = (1 << (bits - 1)) - 1
    largest = np.abs(real).max(axis=over, keepdims=over is not None, initial=0.0)
    scale = np.where(largest > 0, largest / highest, 1.0)[()]
    raw = np.rint(real / scale).astype(np.int64)
    return np.clip(raw, -highest, highest), scale


def split_lsb(raw: Raw, lsb_bits: int) -> tuple[Raw, Raw]:
    """The two parts of each integer as they lie in memory: signed MSBs and unsigned LSBs."""
    check_between("lsb_bits", lsb_bits, 0, 32)
    return raw >> lsb_bits, raw & ((1 << lsb_bits) - 1)


def join_lsb(msb: Raw, lsb: Raw | int, lsb_bits: int) -> Raw:
    """The integers of two parts. With LSBs 0 the MSBs alone: a coarser value of the same scale.

    That value lies at most 2^lsb_bits - 1 below the whole one and never above it.
    """
    check_between("lsb_bits", lsb_bits, 0, 32)
    return (msb << lsb_bits) | lsb


def check_between(name: str, value: int, lowest: int, highest: int) -> None:
    """Refuse a parameter outside its range, both ends included."""
    if not lowest <= value <= highest:
        raise ValueError(f"{name} must be between {lowest} and {highest}, not {value}")


def check_rounding(rounding: str) -> None:
    """Refuse a rounding that is not one of the named ones."""
    if rounding not in get_args(Rounding):
        raise ValueError(f"rounding must be one of {get_args(Rounding)}, not {rounding!r}")


def _round(scaled: npt.NDArray[np.float64], rounding: Rounding) -> npt.NDArray[np.float64]:
    """Round to whole numbers, still as floats."""
    below = np.floor(scaled)
    if rounding == "floor":
        return below
    if rounding == "half_up":
        # Not floor(x + 0.5): that sum is itself rounded.
        return below + (scaled - below >= 0.5)
    return np.rint(scaled)
