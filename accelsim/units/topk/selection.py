"""When each pass of a selection begins, and when the threshold is found: the time of the engine's inner loop.

`Schedule` is the definition, pass by pass; `selection_cycles` is its fast face, over many rows at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.compiled import kernel
from accelsim.golden import topk as golden
from accelsim.units.topk.parameters import TopK

Integers = npt.NDArray[np.int64]

RULES: tuple[golden.Pivot, ...] = ("published", "uniform", "reservoir", "rank_adaptive")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Clocks from the one in which a row's numbers stand in the engine's registers.

    begins: each pass's first line is read; found: the threshold is right. kth, quota: what is found.
    """

    begins: tuple[int, ...]
    found: int
    kth: int
    quota: int


def schedule(parameters: TopK, values: npt.NDArray[Any], keep: int, row_id: int) -> Schedule:
    """The passes over one row of unsigned integers, 1 <= keep < n."""
    if parameters.engine == "radix":
        kth, quota = golden.kth_and_quota(values, keep)
        step = _lines(parameters, len(values)) - 1 + parameters.pass_cycles
        begins = tuple(1 + number * step for number in range(parameters.digits))
        # The digit of the last pass has to be chosen; those before it are chosen while the next one starts.
        found = parameters.digits * step + 2
        return Schedule(begins=begins, found=found, kth=int(kth), quota=int(quota))
    selection = golden.quick_select(
        values, keep, row_id=row_id, pivot=parameters.pivot, lanes=parameters.width
    )
    starts, clock = [], 0
    for one in selection.passes:
        lines = _lines(parameters, one.elements)
        # The only line of a side is written one cycle after the side could be read.
        wait = max(parameters.pivot_wait, int(lines == 1))
        starts.append(clock + 1 + wait)
        clock += lines - 1 + parameters.pass_cycles + wait
    return Schedule(begins=tuple(starts), found=clock, kth=int(selection.kth), quota=selection.quota)


def selection_cycles(
    parameters: TopK, scores: npt.NDArray[Any], keep: Integers, row_ids: Integers
) -> tuple[Integers, Integers]:
    """`Schedule.found` and the number of passes of each row; 0 and 0 where all scores are kept.

    scores: (rows, n) integers; keep: (rows,), 1 <= keep <= n; row_ids: (rows,), they seed the pivots.
    Latency: a median of distinct scores takes about 3.4 n elements in 1.35 log2(n) - 1 passes at random
    pivots; radix takes the same time for all rows of n.
    """
    rows, columns = scores.shape
    cycles, passes = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    selects = keep < columns
    if parameters.engine == "radix":
        lines = _lines(parameters, columns)
        passes[selects] = parameters.digits
        cycles[selects] = parameters.digits * (lines - 1 + parameters.pass_cycles) + 2
        return cycles, passes
    timing = np.array([parameters.width, parameters.pass_cycles - 1, parameters.pivot_wait, 1], np.int64)
    _run(parameters.pivot, timing, scores, keep, row_ids, cycles, passes)
    return cycles, passes


def published_cycles(
    width: int, overhead: int, scores: npt.NDArray[Any], keep: Integers, row_ids: Integers
) -> tuple[Integers, Integers]:
    """Cycles and passes by the rule of the published latency model, which no hardware here follows.

    Uniform pivots, and ceil(e / width) + `overhead` cycles for a pass over e elements (artefact,
    TopKLatencyModel: overhead 3). Same shapes as `selection_cycles`.
    """
    cycles, passes = np.zeros(len(scores), np.int64), np.zeros(len(scores), np.int64)
    timing = np.array([width, overhead, 0, 0], np.int64)
    _run("uniform", timing, scores, keep, row_ids, cycles, passes)
    return cycles, passes


def _lines(parameters: TopK, elements: int) -> int:
    return -(-elements // parameters.width)


def _run(
    pivot: golden.Pivot,
    timing: Integers,
    scores: npt.NDArray[Any],
    keep: Integers,
    row_ids: Integers,
    cycles: Integers,
    passes: Integers,
) -> None:
    """Fill in cycles and passes. timing: lanes, cycles of a pass beside its lines, wait, wait of one line."""
    _quick_select(
        scores,
        keep.astype(np.int64),
        row_ids.astype(np.int64),
        RULES.index(pivot),
        timing,
        # As arguments: a compiled constant of another file would outlive its change.
        np.array(
            [
                golden.LFSR_BITS,
                golden.LFSR_TAPS,
                golden.SEED_MULTIPLIER,
                golden.SEED_OFFSET,
            ],
            np.int64,
        ),
        np.zeros((2, scores.shape[1]), np.int64),
        np.zeros(golden.SAMPLES, np.int64),
        cycles,
        passes,
    )


@kernel
def _step(state: int, taps: int) -> int:
    return (state >> 1) ^ (taps if state & 1 else 0)


@kernel
def _published(side: Integers, count: int, word: int, lanes: int) -> int:
    """`golden.published_position`."""
    lines = (count + lanes - 1) // lanes
    mask = 1
    while mask < lines:
        mask <<= 1
    mask -= 1
    line = word & mask
    if line >= lines:
        line &= mask >> 1
    return int(side[line * lanes])


@kernel
def _sampled(
    side: Integers, count: int, word: int, lanes: int, bits: int, taps: int, samples: Integers
) -> int:
    """`golden.sampled_positions`: the last samples, a ring of them, and how many were drawn."""
    lines, drawn, first = (count + lanes - 1) // lanes, 0, 0
    lane_bits = 0
    while 1 << lane_bits < lanes:
        lane_bits += 1
    while first < lines:
        size = max(first, 1)
        line = first + (word & (size - 1))
        if line < lines:
            here = min(lanes, count - line * lanes)
            mask = 1
            while mask * 2 <= here:
                mask *= 2
            lane = (word >> (bits - lane_bits)) & (mask - 1)
            samples[drawn % samples.size] = side[line * lanes + lane]
            drawn += 1
        first += size
        word = _step(word, taps)
    return drawn


@kernel
def _ranked(samples: Integers, drawn: int, count: int, target: int) -> int:
    """Of the samples that are there, the one of rank number * target / count."""
    number = min(drawn, samples.size)
    for i in range(1, number):
        value, place = samples[i], i
        while place and samples[place - 1] < value:
            samples[place] = samples[place - 1]
            place -= 1
        samples[place] = value
    return int(samples[number * target // count])


@kernel
def _quick_select(
    scores: npt.NDArray[Any],
    keep: Integers,
    row_ids: Integers,
    rule: int,
    timing: Integers,
    lfsr: Integers,
    sides: Integers,
    samples: Integers,
    cycles: Integers,
    passes: Integers,
) -> None:
    lanes, pass_cycles, pivot_wait, short_wait = timing[0], timing[1], timing[2], timing[3]
    bits, taps, multiplier, offset = lfsr[0], lfsr[1], lfsr[2], lfsr[3]
    columns = scores.shape[1]
    for row in range(scores.shape[0]):
        if keep[row] == columns:
            continue
        word = (row_ids[row] * multiplier + offset) % (1 << bits)
        if word == 0:
            word = offset
        target, count, here = keep[row] - 1, columns, 0
        for i in range(count):
            sides[0, i] = scores[row, i]
        while True:
            word = _step(word, taps)
            side = sides[here]
            if rule == 0:
                pivot = _published(side, count, word, lanes)
            elif rule == 1:
                pivot = side[(word * count) >> bits]
            else:
                drawn = _sampled(side, count, word, lanes, bits, taps, samples)
                if rule == 2:
                    pivot = samples[(drawn - 1) % samples.size]
                else:
                    pivot = _ranked(samples, drawn, count, target)
            lines = (count + lanes - 1) // lanes
            passes[row] += 1
            cycles[row] += lines + pass_cycles + max(pivot_wait, short_wait if lines == 1 else 0)

            # The larger stay where they are read, the smaller go to the other side.
            larger, smaller = 0, 0
            for i in range(count):
                score = side[i]
                if score > pivot:
                    side[larger] = score
                    larger += 1
                elif score < pivot:
                    sides[1 - here, smaller] = score
                    smaller += 1
            equal = count - larger - smaller
            if target < larger:
                count = larger
            elif target < larger + equal:
                break
            else:
                target -= larger + equal
                count, here = smaller, 1 - here
