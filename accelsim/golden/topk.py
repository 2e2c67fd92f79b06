"""Top-k: the k-th largest value, how many of its equals stay, and the passes that quick-select makes.

The one tie rule of the project lives here: among equal values the lowest index wins, and what is
kept stays in its original order. Zeros are ordinary values (keep-bits, not zero marking).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]
"""An array of integers or floats."""

Pivot = Literal["published", "uniform", "reservoir", "rank_adaptive"]
"""published: element 0 of a random line, as in the artefact; uniform: any element with the same chance;
reservoir: the last of a few samples that were drawn while the side was written; rank_adaptive: of the last
`SAMPLES` of them the one whose rank is nearest to the wanted one."""

SAMPLES = 5
"""How many samples `rank_adaptive` keeps."""

LFSR_BITS = 16
LFSR_TAPS = 0xB400
"""x^16 + x^14 + x^13 + x^11 + 1, Galois form, shifting right: period 65535."""

SEED_MULTIPLIER = 40503
SEED_OFFSET = 0xACE1
"""Spread neighbouring row ids over the states of the LFSR: 2^16 / golden ratio, odd, hence one to one."""


def kth_and_quota(values: Numbers, k: int) -> tuple[Numbers, npt.NDArray[np.int64]]:
    """The k-th largest value along the last axis, and how many elements equal to it are kept.

    values: (..., n) with 1 <= k <= n. Returns two arrays of shape (...).
    Raises ValueError for another k, and for NaN, which has no rank.
    """
    length = _checked_length(values, k)
    # Two bytes are sorted by radix, in a tenth of the time that a partition takes on many equal scores.
    if values.dtype.itemsize <= 2:
        kth = np.sort(values, axis=-1, kind="stable")[..., length - k]
    else:
        kth = np.partition(values, length - k, axis=-1)[..., length - k]
    larger = np.count_nonzero(values > kth[..., None], axis=-1)
    return kth, np.asarray(k - larger, dtype=np.int64)


def top_k_mask(values: Numbers, k: int) -> npt.NDArray[np.bool_]:
    """True where an element is one of the k largest along the last axis; the lowest index wins a tie."""
    kth, quota = kth_and_quota(values, k)
    equal = values == kth[..., None]
    position_among_equals = np.cumsum(equal, axis=-1, dtype=np.int32)
    kept: npt.NDArray[np.bool_] = (values > kth[..., None]) | (
        equal & (position_among_equals <= quota[..., None])
    )
    return kept


def top_k_indices(values: Numbers, k: int) -> npt.NDArray[np.int64]:
    """Ascending positions of the k largest along the last axis: (..., n) to (..., k)."""
    kept = top_k_mask(values, k)
    return np.nonzero(kept)[-1].reshape((*values.shape[:-1], k))


def lfsr_seed(row_id: int) -> int:
    """State before the first pass over row `row_id`: never zero, so that the register runs."""
    state = (row_id * SEED_MULTIPLIER + SEED_OFFSET) % (1 << LFSR_BITS)
    return state or SEED_OFFSET


def lfsr_step(state: int) -> int:
    """The next state; also the draw of the pass for which it is stepped."""
    return (state >> 1) ^ (LFSR_TAPS if state & 1 else 0)


def pivot_of(side: Numbers, target: int, word: int, *, rule: Pivot, lanes: int) -> Any:
    """The element that cuts `side` in a pass that looks for its `target`-th largest, counted from 0.

    word: the pass's draw. The side lies in lines of `lanes` elements, the last one perhaps not full.
    """
    if rule == "published":
        return side[published_position(word, len(side), lanes)]
    if rule == "uniform":
        return side[uniform_position(word, len(side))]
    samples = [side[position] for position in sampled_positions(word, len(side), lanes)]
    if rule == "reservoir":
        return samples[-1]
    samples = sorted(samples[-SAMPLES:], reverse=True)
    return samples[len(samples) * target // len(side)]


def published_position(word: int, count: int, lanes: int) -> int:
    """The first element of line `word` modulo the next power of two; beyond the last line: of half of it."""
    lines = -(-count // lanes)
    mask = (1 << (lines - 1).bit_length()) - 1
    line = word & mask
    return lanes * (line if line < lines else line & (mask >> 1))


def uniform_position(word: int, count: int) -> int:
    """The element word / 2^16 of the way through the side."""
    return (word * count) >> LFSR_BITS


def sampled_positions(word: int, count: int, lanes: int) -> list[int]:
    """A power-of-two reservoir: one element of line 0, of line 1, of lines 2 to 3, of 4 to 7, and so on.

    The low bits of the word choose the line, the high bits the lane; the word steps after each group. A
    sample beyond the last line is not drawn; in a line that is not full the lane loses its high bits.
    """
    lines, lane_bits = -(-count // lanes), (lanes - 1).bit_length()
    positions: list[int] = []
    first = 0
    while first < lines:
        size = max(first, 1)
        line = first + (word & (size - 1))
        if line < lines:
            here = min(lanes, count - line * lanes)
            lane = (word >> (LFSR_BITS - lane_bits)) & ((1 << (here.bit_length() - 1)) - 1)
            positions.append(line * lanes + lane)
        first += size
        word = lfsr_step(word)
    return positions


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One partition pass: the elements that were read, and where they went."""

    elements: int
    smaller: int
    equal: int
    larger: int


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What quick-select leaves to the output filter, and the passes it took.

    How long a pass takes is the affair of `accelsim.units.topk`.
    """

    kth: int | float
    quota: int
    passes: tuple[Pass, ...]


def quick_select(
    values: Numbers, k: int, *, row_id: int = 0, pivot: Pivot = "uniform", lanes: int = 1
) -> Selection:
    """The k-th largest of a one-dimensional array, by the passes of the hardware.

    Each pass takes a pivot from the side that holds the target and cuts that side in smaller, equal and
    larger elements, both in their order. The LFSR is seeded by `row_id` and stepped once a pass.
    lanes: elements of a line of the side's memory, which all pivot rules but `uniform` see.
    Source: HPCA 2021 SpAtten, top-k algorithm, with a 0-based target k - 1 as in its RTL: the printed
    listing is off by one.
    """
    if values.ndim != 1:
        raise ValueError(f"quick-select takes one row, not an array of shape {values.shape}")
    _checked_length(values, k)
    side, target, state = values, k - 1, lfsr_seed(row_id)
    passes: list[Pass] = []
    while True:
        state = lfsr_step(state)
        chosen = pivot_of(side, target, state, rule=pivot, lanes=lanes)
        larger, smaller = side[side > chosen], side[side < chosen]
        equal = len(side) - len(larger) - len(smaller)
        passes.append(Pass(elements=len(side), smaller=len(smaller), equal=equal, larger=len(larger)))
        if target < len(larger):
            side = larger
        elif target < len(larger) + equal:
            quota = target - len(larger) + 1
            return Selection(kth=chosen.item(), quota=quota, passes=tuple(passes))
        else:
            target -= len(larger) + equal
            side = smaller


def _checked_length(values: Numbers, k: int) -> int:
    """Length of the last axis; refuses what has no k-th largest value."""
    length = int(values.shape[-1]) if values.ndim else 0
    if not 1 <= k <= length:
        raise ValueError(f"k must be between 1 and the {length} values of a row, not {k}")
    if np.issubdtype(values.dtype, np.inexact) and np.isnan(values).any():
        place = tuple(int(i) for i in np.argwhere(np.isnan(values))[0])
        raise ValueError(f"values to rank must be numbers, not NaN (at {place})")
    return length
