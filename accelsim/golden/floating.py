"""IEEE 754 words and the operations of the hardware on them: numpy's, round to nearest even, subnormals too.

Every NaN is the one quiet NaN `Format.nan`: sign 0, highest bit of the fraction. numpy's differ in sign and
payload with the processor (x86 makes 0xffc00000 of Inf - Inf and hands on an operand's payload), and
agree with `canonical`, which makes one of all, in every word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[Any]
"""Unsigned integers as wide as their format."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """A binary floating-point format: one sign, then exponent, then fraction."""

    exponent_bits: int
    fraction_bits: int

    @property
    def bits(self) -> int:
        """Of a word."""
        return 1 + self.exponent_bits + self.fraction_bits

    @property
    def significand_bits(self) -> int:
        """Fraction and the bit before it."""
        return self.fraction_bits + 1

    @property
    def bias(self) -> int:
        """Exponent field of numbers from 1 to below 2."""
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def infinity(self) -> int:
        """Word of plus infinity; a larger magnitude is NaN."""
        return ((1 << self.exponent_bits) - 1) << self.fraction_bits

    @property
    def nan(self) -> int:
        """The one NaN that leaves an operation."""
        return self.infinity | 1 << (self.fraction_bits - 1)

    @property
    def word(self) -> type[np.unsignedinteger[Any]]:
        """numpy's integer of that width."""
        return np.uint16 if self.bits == 16 else np.uint32

    @property
    def number(self) -> type[np.floating[Any]]:
        """numpy's number of that format."""
        return np.float16 if self.bits == 16 else np.float32


FP16 = Format(exponent_bits=5, fraction_bits=10)
FP32 = Format(exponent_bits=8, fraction_bits=23)


def canonical(numbers: npt.NDArray[np.floating[Any]]) -> Words:
    """Words of float16 or float32 numbers, every NaN the one of its format."""
    form = FP16 if numbers.dtype == np.float16 else FP32
    words: Words = np.where(np.isnan(numbers), form.word(form.nan), numbers.view(form.word))
    return words


def multiply(first: Words, second: Words, form: Format, result: Format) -> Words:
    """Products of words of `form` as words of `result`: of FP16 exact in FP32, else rounded once."""
    factors = (words.view(form.number).astype(result.number) for words in (first, second))
    with np.errstate(all="ignore"):
        return canonical(np.multiply(*factors))


def add(first: Words, second: Words) -> Words:
    """Sums of FP32 words."""
    with np.errstate(all="ignore"):
        return canonical(first.view(np.float32) + second.view(np.float32))


def convert(words: Words, form: Format, result: Format) -> Words:
    """Words of `form` as words of `result`."""
    with np.errstate(all="ignore"):
        return canonical(words.view(form.number).astype(result.number))


def multiply_add(first: Words, second: Words, addend: Words) -> Words:
    """first * second + addend in FP32, rounded after the product and after the sum, as `golden.momentum`."""
    return add(multiply(first, second, FP32, FP32), addend)
