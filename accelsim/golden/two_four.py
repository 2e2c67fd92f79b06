"""The 2:4 format of sparse tensor cores: half of every group of elements and one 4-bit code for it.

A code holds the position of the first stored value in its low two bits and that of the second in its
high two bits (PTX ISA 9.7.14, mma.sp). A position is a quarter of the group, and what a quarter holds depends
on the element: one of 8 or 16 bits (2:4), an aligned pair of int4 (4:8, pairs whole), half a tf32 (1:2).
Codes and filler are those of PyTorch's semi-structured conversion; unlike it, a group with more values than
the format can hold is refused instead of cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.formats import aligned_groups


@dataclass(frozen=True, kw_only=True)
class Format:
    """How one element type is stored: groups of `group` elements along k, half of them kept.

    `word_bits`: width of a metadata element in CUTLASS and PyTorch. `floating`: the highest bit is a sign,
    and both zeros are zeros.
    """

    name: str
    element_bits: int
    group: int
    word_bits: int
    floating: bool

    @property
    def kept(self) -> int:
        """Elements stored of every group."""
        return self.group // 2

    @property
    def metadata_bits(self) -> float:
        """For every dense element."""
        return BITS_OF_A_CODE / self.group

    @property
    def pattern(self) -> str:
        """In words."""
        return "4:8 in pairs" if self.group == 8 else f"{self.kept}:{self.group}"


FORMATS = {
    form.name: form
    for form in (
        Format(name="fp16", element_bits=16, group=4, word_bits=16, floating=True),
        Format(name="bf16", element_bits=16, group=4, word_bits=16, floating=True),
        Format(name="tf32", element_bits=32, group=2, word_bits=16, floating=True),
        Format(name="int8", element_bits=8, group=4, word_bits=32, floating=False),
        Format(name="fp8", element_bits=8, group=4, word_bits=32, floating=True),
        Format(name="int4", element_bits=4, group=8, word_bits=32, floating=False),
    )
}
"""By element type. PyTorch has fp16, bf16, int8 and tf32 (as float32); the rest is CUTLASS's and PTX's."""

ORDERED_CODES = (0x4, 0x8, 0xC, 0x9, 0xD, 0xE)
"""First position below the second: all that mma.sp::ordered_metadata takes."""

LEGAL_CODES = tuple(code for code in range(16) if code & 3 != code >> 2)
"""Two different positions in either order: what plain mma.sp takes."""

TF32_CODES = (0x4, 0xE)
"""The first or the second element, both halves of it: all that mma.sp takes for tf32."""

FILLED_CODES = {
    (): 0xE,
    (0,): 0x8,
    (1,): 0x9,
    (2,): 0xE,
    (3,): 0xE,
    (0, 1): 0x4,
    (0, 2): 0x8,
    (0, 3): 0xC,
    (1, 2): 0x9,
    (1, 3): 0xD,
    (2, 3): 0xE,
}
"""From the positions of a group's non-zeros to its code; fewer than two are filled with stored zeros."""

BITS_OF_A_CODE = 4

Codes = npt.NDArray[np.uint8]


def encode(
    weights: npt.NDArray[Any],
    form: Format = FORMATS["fp16"],
    kept: npt.NDArray[np.bool_] | None = None,
) -> tuple[npt.NDArray[Any], Codes]:
    """Values (..., groups, form.kept) in ascending position and codes (..., groups) of pruned weights.

    weights: (..., k), numbers, or words of a floating `form` as unsigned integers of its width (bf16, fp8);
    int4 as one number an element. Groups lie along the last axis; a ragged last one is padded with zeros.
    kept: the elements to keep; without it the non-zeros, and then -0.0, a zero, may come back as +0.0.
    Raises ValueError naming the first group that keeps too much.
    """
    groups = aligned_groups(weights, form.group)
    mask = _non_zero(weights, form) if kept is None else kept
    if full := full_group(mask, form):
        raise ValueError(f"{form.name} weights must be {form.pattern}, not {full}")
    quarters = _quarters(aligned_groups(mask, form.group))
    codes = _code_of_occupancy()[np.packbits(quarters, axis=-1, bitorder="little")[..., 0]]
    return np.take_along_axis(groups, stored_positions(codes, form), axis=-1), codes


def full_group(kept: npt.NDArray[np.bool_], form: Format) -> str:
    """Where a mask (..., k) first keeps more than the format holds, and how often; empty if nowhere."""
    occupied = aligned_groups(kept, form.group)
    taken = _quarters(occupied).view(np.uint8)
    full = taken[..., 0] + taken[..., 1] + taken[..., 2] + taken[..., 3] > 2
    if not full.any():
        return ""
    *row, group = (int(i) for i in np.unravel_index(np.argmax(full), full.shape))
    positions = group * form.group + np.flatnonzero(occupied[(*row, group)])
    where = f" of row {', '.join(map(str, row))}" if row else ""
    times = np.count_nonzero(full)
    others = f" and {times - 1} more" if times > 1 else ""
    return f"elements {', '.join(map(str, positions))}{where} kept in one group{others}"


def decode(values: npt.NDArray[Any], codes: Codes, form: Format = FORMATS["fp16"]) -> npt.NDArray[Any]:
    """The dense array (..., groups * form.group), bit for bit what was stored and zeros between.

    Takes codes in either order; raises ValueError on one that names a position twice, and on shapes that
    do not belong together.
    """
    if values.shape != (*codes.shape, form.kept):
        raise ValueError(
            f"values of {form.name} must have the shape {(*codes.shape, form.kept)}, not {values.shape}"
        )
    refuse_codes(codes, form)
    groups = np.zeros((*codes.shape, form.group), dtype=values.dtype)
    np.put_along_axis(groups, stored_positions(codes, form), values, axis=-1)
    return groups.reshape((*codes.shape[:-1], codes.shape[-1] * form.group))


def stored_positions(codes: Codes, form: Format) -> npt.NDArray[np.int64]:
    """Where in their group the stored elements stand, in the order they are stored: (...) to (..., kept)."""
    quarters = np.stack([codes & 3, codes >> 2], axis=-1).astype(np.int64)
    if form.group == 4:
        return quarters
    if form.group == 2:
        return quarters[..., :1] // 2
    pairs = 2 * quarters[..., None] + np.arange(2)
    return pairs.reshape((*codes.shape, form.kept))


def refuse_codes(codes: Codes, form: Format, ordered: bool = False) -> None:
    """Raise ValueError naming the first code that mma.sp (or mma.sp::ordered_metadata) leaves undefined."""
    legal, rule = (ORDERED_CODES, "two ascending positions") if ordered else (LEGAL_CODES, "two positions")
    if form.group == 2:
        legal, rule = TF32_CODES, "one element (0x4 or 0xE)"
    wrong = ~np.isin(codes, legal)
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"a code of {form.name} must name {rule}, not be {codes[place]:#x} (group {place})")


def _non_zero(weights: npt.NDArray[Any], form: Format) -> npt.NDArray[np.bool_]:
    """By the bits: arithmetic may be set to take subnormals for zeros."""
    kind, bits = weights.dtype.kind, 8 * weights.dtype.itemsize
    if kind not in "biuf":
        raise ValueError(f"weights must be numbers or unsigned words of them, not {weights.dtype}")
    if kind == "f" or (kind == "u" and form.floating and bits == form.element_bits):
        words = weights.view(f"u{weights.dtype.itemsize}")
        return np.asarray(words & words.dtype.type((1 << (bits - 1)) - 1)).astype(np.bool_)
    return weights.astype(np.bool_)


def _quarters(occupied: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which of the four positions of a code are taken: (..., group) to (..., 4)."""
    *outer, group = occupied.shape
    if group == 2:
        return np.repeat(occupied, 2, axis=-1)
    return np.asarray(occupied.reshape((*outer, 4, group // 4)).any(axis=-1))


def _code_of_occupancy() -> Codes:
    """The table of FILLED_CODES, addressed by one bit per position taken."""
    table = np.zeros(16, dtype=np.uint8)
    for positions, code in FILLED_CODES.items():
        table[sum(1 << position for position in positions)] = code
    return table
