"""`mma.sp` and `wgmma.sp` on the registers of their lanes: D = A B + C with a compressed A.

Every stored element of A meets the element of B that its code selects among the group's; nothing is
decompressed. Integers are exact and wrap or saturate to 32 bits. Of floats PTX fixes neither order nor
rounding of the sum: here products are exact, the sum is taken in float64 and rounded once, and `tolerance`
bounds how far any order in the accumulator's type may stray from it. Source: PTX ISA 9.7.14.6, 9.7.15.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden import fragments
from accelsim.golden.elements import ELEMENTS, numbers
from accelsim.golden.fragments import COLUMNS, LANES, ROWS, Registers, Shape, shape_of, wgmma_columns
from accelsim.golden.two_four import Codes, refuse_codes, stored_positions

WARPS = 4
"""Of a warp group; each has 16 of the 64 rows of a wgmma."""

ACCUMULATORS = {
    "fp16": ("f32", "f16"),
    "bf16": ("f32",),
    "tf32": ("f32",),
    "fp8": ("f32", "f16"),
    "int8": ("s32",),
    "int4": ("s32",),
}
"""Types of C and D, by the format of A and B."""

EPSILONS = {"f32": 2.0**-23, "f16": 2.0**-10}


@dataclass(frozen=True, kw_only=True)
class Multiply:
    """One instruction but for its registers, in the words of PTX: `k`, types, selector, flags.

    `ordered`: mma.sp::ordered_metadata, which takes six codes instead of twelve. `saturate`: .satfinite of
    the integer forms. Raises ValueError on types, a k or a selector that do not go together.
    """

    k: int
    a_type: str = "f16"
    b_type: str = "f16"
    accumulator: str = "f32"
    selector: int = 0
    ordered: bool = False
    saturate: bool = False

    def __post_init__(self) -> None:
        if self.a_type not in ELEMENTS:
            raise ValueError(f"a_type must be one of {', '.join(ELEMENTS)}, not {self.a_type!r}")
        shape = self.shape  # refuses k
        partners = [name for name, element in ELEMENTS.items() if element.form == shape.form.name]
        for name, value, allowed in (
            ("b_type", self.b_type, partners),
            ("accumulator", self.accumulator, ACCUMULATORS[shape.form.name]),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be {' or '.join(allowed)} for {self.a_type}, not {value!r}")
        shape.check_selector(self.selector)

    @property
    def shape(self) -> Shape:
        """Its registers and metadata."""
        return shape_of(ELEMENTS[self.a_type].form, self.k)


def mma_sp(
    multiply: Multiply, a: Registers, b: Registers, c: npt.NDArray[Any], metadata: Registers
) -> npt.NDArray[Any]:
    """D (32 lanes, 4) of A and B (32, registers), C (32, 4) and metadata (32,).

    Metadata is read from the selected lanes alone; ValueError names a code there that PTX leaves undefined.
    """
    shape = multiply.shape
    stored = fragments.a_from_lanes(a, shape)
    codes = fragments.metadata_from_lanes(metadata, shape, multiply.selector)
    columns = fragments.b_from_lanes(b, shape)
    return fragments.c_to_lanes(
        multiply_compressed(multiply, stored, codes, columns, fragments.c_from_lanes(c))
    )


def wgmma_sp(
    multiply: Multiply,
    a: Registers,
    b: Registers,
    c: npt.NDArray[Any],
    metadata: Registers,
) -> npt.NDArray[Any]:
    """D (4 warps, 32 lanes, n / 2) of one m64n`n` wgmma.sp.

    a: (4, 32, registers) from registers, or (64, words) as its compressed rows stand in shared memory; b: the
    columns of B in shared memory, (n, words along k); c like D; metadata (4, 32). Warp w holds the metadata
    of rows 16 w to 16 w + 15 (PTX ISA 9.7.15.6.2); within a warp the lanes are taken as in mma.sp of the
    same k, which is by analogy (public code for m64n8k32 agrees). Elements 4 j to 4 j + 3 of a lane's D are
    accumulators of columns 8 j to 8 j + 7.
    """
    shape, n = multiply.shape, len(b)
    if n not in wgmma_columns(shape):
        raise ValueError(f"n must be one that wgmma.sp has for {shape}, not {n}")
    expected = (WARPS, LANES, n // 2)
    if c.shape != expected or metadata.shape != (WARPS, LANES) or b.shape[1:] != (shape.b_words,):
        raise ValueError(
            f"b, c and metadata of an m64n{n} wgmma.sp must have the shapes {(n, shape.b_words)}, {expected} "
            f"and {(WARPS, LANES)}, not {b.shape}, {c.shape} and {metadata.shape}"
        )
    result = np.empty_like(c)
    for warp in range(WARPS):
        rows = a[ROWS * warp : ROWS * (warp + 1)] if a.ndim == 2 else fragments.a_from_lanes(a[warp], shape)
        codes = fragments.metadata_from_lanes(metadata[warp], shape, multiply.selector)
        for j in range(n // COLUMNS):
            tile = np.s_[warp, :, 4 * j : 4 * j + 4]
            start = fragments.c_from_lanes(c[tile])
            columns = b[COLUMNS * j : COLUMNS * (j + 1)]
            result[tile] = fragments.c_to_lanes(multiply_compressed(multiply, rows, codes, columns, start))
    return result


def multiply_compressed(
    multiply: Multiply, stored: Registers, codes: Codes, columns: Registers, c: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """D (rows, n) of compressed rows (rows, words), their codes (rows, groups), columns (n, words) and C."""
    form = multiply.shape.form
    refuse_codes(codes, form, multiply.ordered)
    a = numbers(fragments.from_words(stored, form), multiply.a_type)
    b = numbers(fragments.from_words(columns, form), multiply.b_type)
    # The multiplexers: where along k the operand of each stored element stands.
    group = np.arange(codes.shape[-1])[:, None] * form.group
    selected = (stored_positions(codes, form) + group).reshape(len(codes), -1)
    products = a[:, None, :] * b[:, selected].swapaxes(0, 1)
    return _accumulate(multiply, products.sum(axis=-1), c)


def tolerance(multiply: Multiply, magnitude: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Bound on the error of a float D, elementwise, whatever the order of its sum.

    magnitude: |A| |B| + |C|. A sum of k / 2 products and C takes k / 2 additions, each off by at most one
    epsilon (truncated, not rounded) of a partial sum that `magnitude` bounds. Holds for adders as wide as
    the accumulator; Hopper's fp8 is said to keep fewer bits.
    """
    if multiply.accumulator == "s32":
        return np.zeros(magnitude.shape)
    return multiply.k / 2 * EPSILONS[multiply.accumulator] * np.asarray(magnitude, dtype=np.float64)


def _accumulate(multiply: Multiply, sums: npt.NDArray[Any], c: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if multiply.accumulator == "s32":
        exact = sums + c.astype(np.int64)
        if multiply.saturate:
            exact = np.clip(exact, -(2**31), 2**31 - 1)
        return exact.astype(np.int32)
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = sums + c.astype(np.float64)
        return np.asarray(rounded.astype(np.float16 if multiply.accumulator == "f16" else np.float32))
