"""SAT's blocks as rows for the engine: fetch, SORE where weights are reduced on the fly, array, store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from accelsim.accelerators.folds import Folds
from accelsim.accelerators.gemm import Array
from accelsim.plan import Integers, Plan, Stage
from accelsim.units import sore
from accelsim.windows import Segment

Blocks = Sequence[tuple[Folds, int]]


def plan_of(
    blocks: Blocks, array: Array, burst_bytes: int, reduced: Sequence[Integers] | None = None
) -> tuple[Plan, tuple[Segment, ...]]:
    """The blocks one after the other, and which jobs stand for how many equal blocks.

    A block that opens the plan is there once for itself, on an idle machine, and once for all others like it.
    `reduced`: beats of each piece of each block that pass SORE between fetch and array; None: no such stage.
    """
    (first, times), *others = blocks
    spread = [(first, 1), (first, times - 1), *others] if times > 1 else [(first, times), *others]
    spread = [block for block in spread if block[1]]
    layout = array.layout()
    if reduced is not None:
        fetch, work, store = layout.stages
        layout = replace(layout, stages=(fetch, Stage(name="sore"), work, store))
        reduced = [reduced[0], *reduced] if times > 1 else list(reduced)
    plan = Folds.join([folds for folds, _ in spread]).plan(array, burst_bytes, layout)
    if reduced is not None:
        beats = np.concatenate(reduced)
        plan.busy[:, layout.stage("sore")] = beats
        plan.drain[:, layout.stage("sore")] = np.where(beats > 0, sore.cycles(1) - 1, 0)
    ends = np.cumsum([0] + [folds.busy.size for folds, _ in spread])
    segments = tuple(
        Segment(first=int(begin), last=int(end), times=count)
        for begin, end, (_, count) in zip(ends[:-1], ends[1:], spread, strict=True)
    )
    return plan, () if all(segment.times == 1 for segment in segments) else segments
