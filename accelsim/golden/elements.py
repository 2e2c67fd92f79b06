"""Element types of the tensor cores, named as PTX names them: from raw words to exact numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Element:
    """`form`: the 2:4 format it is stored in; floats have `exponent` bits of exponent, integers none."""

    form: str
    bits: int
    exponent: int = 0
    signed: bool = True


ELEMENTS = {
    "f16": Element("fp16", 16, 5),
    "bf16": Element("bf16", 16, 8),
    "tf32": Element("tf32", 32, 8),
    "e4m3": Element("fp8", 8, 4),
    "e5m2": Element("fp8", 8, 5),
    "s8": Element("int8", 8),
    "u8": Element("int8", 8, signed=False),
    "s4": Element("int4", 4),
    "u4": Element("int4", 4, signed=False),
}

TF32_DROPPED_BITS = 13
"""Of a float32: what a tensor core ignores of it."""


def numbers(raw: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Raw unsigned elements as float64 or int64, exactly; tf32 without the bits it ignores."""
    element = ELEMENTS[name]
    if element.exponent == 0:
        wide = raw.astype(np.int64)
        return wide - ((wide >> (element.bits - 1)) << element.bits) if element.signed else wide
    if element.form == "fp8":
        return np.asarray(_table_of_fp8(name)[raw])
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        return _floats(raw, name).astype(np.float64)


def _floats(raw: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    if name == "f16":
        return raw.view(np.float16)
    if name == "bf16":
        return (raw.astype(np.uint32) << np.uint32(16)).view(np.float32)
    ignored = np.uint32((1 << TF32_DROPPED_BITS) - 1)
    return np.asarray(raw & ~ignored).view(np.float32)


@cache
def _table_of_fp8(name: str) -> npt.NDArray[np.float64]:
    """All 256 numbers. e5m2 is an IEEE format; e4m3 has no infinity, and one NaN of each sign."""
    exponent_bits = ELEMENTS[name].exponent
    mantissa_bits = 7 - exponent_bits
    word = np.arange(256)
    exponent = word >> mantissa_bits & ((1 << exponent_bits) - 1)
    mantissa = (word & ((1 << mantissa_bits) - 1)) / 2.0**mantissa_bits
    bias = (1 << (exponent_bits - 1)) - 1
    magnitude = np.where(
        exponent == 0, mantissa * 2.0 ** (1 - bias), (1 + mantissa) * 2.0 ** (exponent - bias)
    )
    if name == "e5m2":
        magnitude = np.where(exponent == 31, np.where(mantissa == 0, np.inf, np.nan), magnitude)
    else:
        magnitude[[0x7F, 0xFF]] = np.nan
    return np.where(word & 0x80, -magnitude, magnitude)
