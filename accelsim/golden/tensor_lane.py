"""What a sparse dot-product lane computes, bit for bit: which operands its multiplexers pick, and its sum.

A step multiplies a word of stored elements of A with the elements of B that the codes select; the products
are added in a tree of neighbours, and the tree's sum to the accumulator. Integers are exact modulo 2^32. Of
fp16 a product is exact in fp32 and every addition is rounded to nearest even, so that the order counts: it is
this one, not numpy's and not a GPU's, which nobody has published.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden import fragments
from accelsim.golden.elements import ELEMENTS, numbers
from accelsim.golden.fragments import COLUMNS, ROWS, Registers
from accelsim.golden.two_four import FORMATS, LEGAL_CODES, ORDERED_CODES, Codes, Format

STEPS = 4
"""Words of a row of A that the short form of an instruction multiplies, one a step."""

ACCUMULATOR_MASK = 0xFFFFFFFF


def form_of(element: str) -> Format:
    """The 2:4 format of an element type of PTX (`s8`, `u8`, `f16`)."""
    return FORMATS[ELEMENTS[element].form]


def picked_positions(codes: Codes, *, ordered: bool) -> npt.NDArray[np.int64]:
    """Positions (..., 2) within their groups that the multiplexers pick for codes (...), legal or not.

    The pair for ordered codes has three inputs each: the first picks among 0, 1, 2, the second among 1, 2, 3,
    and what a code names beyond is taken for the nearest.
    """
    first, second = (codes & 3).astype(np.int64), (codes >> 2 & 3).astype(np.int64)
    if ordered:
        first, second = np.minimum(first, 2), np.maximum(second, 1)
    return np.stack([first, second], axis=-1)


def undefined(codes: Codes, *, ordered: bool) -> npt.NDArray[np.bool_]:
    """Which codes name no two positions, or, if `ordered`, none that ascend."""
    return ~np.isin(codes, ORDERED_CODES if ordered else LEGAL_CODES)


def accumulate(
    a_type: str, b_type: str, a: npt.NDArray[Any], b: npt.NDArray[Any], start: Registers
) -> Registers:
    """Words of the accumulators after one step: `start` (...) and the products of raw a and b (..., m).

    m is a power of two.
    """
    sums = (numbers(a, a_type) * numbers(b, b_type)).sum(axis=-1)
    return np.asarray((start.astype(np.int64) + sums) & ACCUMULATOR_MASK).astype(np.uint32)


def pass_operands(
    form: Format, rows: Registers, columns: Registers, codes: Codes | None, *, ordered: bool = True
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Raw elements that meet in a pass of the short form, step by step: (STEPS, 16, 1, m), (STEPS, 16, 8, m).

    rows: words of A (16, STEPS), compressed if there are codes (16, groups); columns: words of B along k,
    (8, 2 STEPS), or (8, STEPS) without codes.
    """
    a = fragments.from_words(rows, form).reshape(ROWS, 1, STEPS, -1)
    b = fragments.from_words(columns, form)
    if codes is None:
        chosen = np.broadcast_to(b, (ROWS, *b.shape))
    else:
        group = np.arange(codes.shape[-1])[:, None] * form.group
        chosen = b[:, (picked_positions(codes, ordered=ordered) + group).reshape(ROWS, -1)].swapaxes(0, 1)
    return np.moveaxis(a, 2, 0), np.moveaxis(chosen.reshape(ROWS, COLUMNS, STEPS, -1), 2, 0)


def multiply_pass(
    types: tuple[str, str],
    rows: Registers,
    columns: Registers,
    start: Registers,
    codes: Codes | None = None,
    *,
    ordered: bool = True,
) -> Registers:
    """Words of the accumulators (16, 8) after a pass that begins with `start`; else as `pass_operands`."""
    accumulators = start
    for a, b in zip(*pass_operands(form_of(types[0]), rows, columns, codes, ordered=ordered), strict=True):
        accumulators = accumulate(*types, a, b, accumulators)
    return accumulators
