"""How many cycles the top-k engine takes for a sequence of rows, without a clock-by-clock simulation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from accelsim.golden.topk import top_k_indices
from accelsim.units.topk.parameters import TopK
from accelsim.units.topk.selection import Integers, selection_cycles


def cycles(parameters: TopK, rows: Sequence[tuple[Integers, int, int]]) -> int:
    """Clocks from the first request to the last kept line taken; sources never idle and sinks never wait.

    rows: (scores, keep, row_id) of each. A row is loaded while the one before it is selected and filtered.
    """
    idle = request = end = 0
    for scores, keep, row_id in rows:
        lines = -(-len(scores) // parameters.width)
        loaded = request + parameters.request_cycles + lines
        taken = max(loaded, idle)
        presented = taken + 1
        if keep < len(scores):
            found, _ = selection_cycles(parameters, scores[None, :], np.array([keep]), np.array([row_id]))
            presented += 1 + int(found[0])
        first_line = presented + 1
        idle, request = first_line + lines, taken + 1
        last_kept = int(top_k_indices(scores, keep)[-1])
        # The last line is completed by its last element, or flushed behind the last line that was read.
        completed = last_kept // parameters.width if keep % parameters.width == 0 else lines
        end = first_line + completed + parameters.filter_cycles + 1
    return end
