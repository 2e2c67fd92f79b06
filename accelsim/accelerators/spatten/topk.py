"""How long quick-select works on real scores.

The passes are those of `golden.topk.quick_select`, pivot by pivot; a pass over e elements takes
ceil(e / width) + overhead cycles. `rows` asks this for every row whose values are pruned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.accelerators.spatten.parameters import TopK
from accelsim.compiled import kernel
from accelsim.golden import topk as golden
from accelsim.plan import Integers


def select_cycles(
    engine: TopK, scores: npt.NDArray[Any], keep: Integers, row_ids: Integers
) -> tuple[Integers, Integers]:
    """Cycles and passes to find the keep-th largest score of each row, without loading and filtering.

    scores: (rows, n) integers; keep: (rows,), 1 <= keep <= n; row_ids: (rows,), they seed the pivots.
    Latency: a median of distinct scores takes about 3.4 n elements in 1.35 log2(n) - 1 passes; at worst n.
    """
    rows, columns = scores.shape
    cycles, passes = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    _quick_select(
        scores,
        keep.astype(np.int64),
        row_ids.astype(np.int64),
        np.array([engine.width, engine.pass_overhead], np.int64),
        # As arguments: a compiled constant of another file would outlive its change.
        np.array([golden.LFSR_BITS, golden.LFSR_TAPS, golden.SEED_MULTIPLIER, golden.SEED_OFFSET], np.int64),
        np.zeros((2, columns), np.int64),
        cycles,
        passes,
    )
    return cycles, passes


def row_lines(elements: int, width: int) -> int:
    """Cycles to move a row through `width` lanes."""
    return -(-elements // width)


@kernel
def _quick_select(
    scores: npt.NDArray[Any],
    keep: Integers,
    row_ids: Integers,
    engine: Integers,
    lfsr: Integers,
    sides: Integers,
    cycles: Integers,
    passes: Integers,
) -> None:
    width, overhead = engine[0], engine[1]
    bits, taps, multiplier, offset = lfsr[0], lfsr[1], lfsr[2], lfsr[3]
    for row in range(scores.shape[0]):
        state = (row_ids[row] * multiplier + offset) % (1 << bits)
        if state == 0:
            state = offset
        target = keep[row] - 1
        count, here = scores.shape[1], 0
        for i in range(count):
            sides[0, i] = scores[row, i]
        while True:
            odd = state & 1
            state >>= 1
            if odd:
                state ^= taps
            pivot = sides[here, (state * count) >> bits]
            passes[row] += 1
            cycles[row] += (count + width - 1) // width + overhead

            # The larger stay where they are read, the smaller go to the other side.
            larger, smaller = 0, 0
            for i in range(count):
                score = sides[here, i]
                if score > pivot:
                    sides[here, larger] = score
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
