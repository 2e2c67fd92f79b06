"""Each layer's plan once more through the engine, this time with everything kept that happened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from accelsim.accelerators.base import Accelerator, LayerPlan, Typed
from accelsim.dram import Memory
from accelsim.machine import Timeline, simulate
from accelsim.plan import Plan
from accelsim.windows import cut
from accelsim.workload import Layer, Workload

MOST_BURSTS = 1 << 20
"""Of a layer that are simulated for the overview; for a window of cycles, 16 times as many."""
MOST_COMMANDS = 1 << 21
COMMANDS_A_BURST = 3  # a precharge, an activate, a read or write
REFRESHES = 1 << 16  # room for what is sent without being asked for


@dataclass(frozen=True, kw_only=True, eq=False)
class Pass:
    """A layer's plan and its timeline; `left_out` says what of the layer is not in them, or is empty."""

    layer: str
    plan: Plan
    timeline: Timeline
    left_out: str


def passes(
    workload: Workload, accelerator: Accelerator, indices: Sequence[int], memory: Memory, *, whole: bool
) -> Iterator[Pass]:
    """Of the layers with those indices. What repeats the layer before is simulated once."""
    before: tuple[Layer, Pass] | None = None
    for index in indices:
        layer = workload.layers[index]
        if before is not None and before[0].renamed(layer.name) == layer:
            made = before[1]
        else:
            machine = accelerator.for_layer(layer) if isinstance(accelerator, Typed) else accelerator
            made = _simulated(layer, machine.plan(layer), memory, whole=whole)
            before = layer, made
        yield Pass(layer=layer.name, plan=made.plan, timeline=made.timeline, left_out=made.left_out)


def _simulated(layer: Layer, work: LayerPlan, memory: Memory, *, whole: bool) -> Pass:
    plan, left_out = work.plan, _stands_for(work)
    bursts = np.zeros(plan.jobs, np.int64)
    np.add.at(bursts, plan.runs["job"], plan.runs["count"])
    most = MOST_BURSTS * (16 if whole else 1)
    if bursts.sum() > most:
        jobs = max(1, int(np.searchsorted(np.cumsum(bursts), most)))
        left_out = f"jobs from {jobs:,} of {plan.jobs:,} on are not simulated here; {left_out}".rstrip("; ")
        plan = cut(plan, 0, jobs)
    asked = int(plan.runs["count"].sum()) * (memory.access_bytes // memory.dram.burst_bytes)
    rows = min(MOST_COMMANDS, COMMANDS_A_BURST * asked + REFRESHES)
    timeline = simulate(plan, memory, work.held, log_rows=rows)
    if len(timeline.commands) == rows:
        left_out = f"DRAM commands behind the first {rows:,} that were sent; {left_out}".rstrip("; ")
    return Pass(layer=layer.name, plan=plan, timeline=timeline, left_out=left_out)


def _stands_for(work: LayerPlan) -> str:
    if work.samples:
        return f"one of {len(work.samples)} samples whose weighted sum is the layer's time"
    if work.segments:
        return "equal blocks are there once"
    return ""
