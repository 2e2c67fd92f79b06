"""Of a layer's plan: cycles, traffic and stages, with every simulation's books closed.

A plan is simulated whole, through windows of its jobs, or as a weighted sum of samples, as its machine asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from accelsim.accelerators.base import LayerPlan
from accelsim.dram import Memory
from accelsim.machine import CAUSES, Timeline, Traffic, simulate
from accelsim.plan import Layout, Plan
from accelsim.report import StageRow
from accelsim.samples import combine
from accelsim.windows import Segment, Windowed, compute_cycles, simulate_windows

# A few minutes of simulation for one layer.
MOST_BURSTS = 10**9


class BooksError(RuntimeError):
    """Counts that must be equal are not: a fault in the simulator, never in its input."""


class Times(NamedTuple):
    """What is kept of a plan's timelines, with the machine's memory and with an unlimited one."""

    cycles: int
    compute_cycles: int
    traffic: Traffic
    stages: tuple[StageRow, ...]
    notes: tuple[str, ...] = ()
    operand_bytes: Mapping[str, int] = MappingProxyType({})


def layer_times(name: str, machine: str, work: LayerPlan, memory: Memory) -> Times:
    """Simulate a layer's plan, whole or as it asks for, and close the books. ValueError, BooksError."""
    plan = work.plan
    try:
        plan.check()
    except ValueError as error:
        raise BooksError(f"layer {name!r}: the plan breaks its own rules: {error}") from error
    bursts = plan.bursts(write=False) + plan.bursts(write=True)
    _require_addresses(name, machine, plan, memory)
    operands = _operand_bytes(work, memory)
    if work.samples:
        return _sampled(name, work, memory)._replace(operand_bytes=operands)
    if work.segments or 0 < work.most_bursts < bursts:
        return _windowed(name, work, memory)._replace(operand_bytes=operands)
    if bursts > MOST_BURSTS:
        raise ValueError(
            f"layer {name!r} on {machine} must move at most {MOST_BURSTS} bursts, not "
            f"{bursts}: take a smaller product or larger buffers"
        )
    timeline = simulate(plan, memory, work.held)
    check_books(name, plan, timeline, memory)
    return Times(
        cycles=timeline.cycles,
        compute_cycles=simulate(plan, None).cycles,
        traffic=timeline.traffic,
        stages=_stage_rows(plan.layout, timeline),
        operand_bytes=operands,
    )


def _operand_bytes(work: LayerPlan, memory: Memory) -> dict[str, int]:
    """Bytes that the whole layer asks the memory for, by what they hold."""
    if work.samples:
        asked: dict[str, float] = {}
        for sample in work.samples:
            for name, bursts in sample.plan.operand_bursts().items():
                asked[name] = asked.get(name, 0.0) + sample.weight * bursts
        return {name: max(0, round(bursts)) * memory.access_bytes for name, bursts in asked.items()}
    times = np.ones(work.plan.jobs, np.int64)
    for segment in work.segments:
        times[segment.first : segment.last] = segment.times
    return {name: bursts * memory.access_bytes for name, bursts in work.plan.operand_bursts(times).items()}


def _sampled(name: str, work: LayerPlan, memory: Memory) -> Times:
    """A long plan as a weighted sum of short ones, each of which closes its books."""
    timelines, bare = [], 0.0
    for sample in work.samples:
        timelines.append(simulate(sample.plan, memory, sample.held))
        check_books(name, sample.plan, timelines[-1], memory)
        bare += sample.weight * simulate(sample.plan, None).cycles
    plans = [sample.plan for sample in work.samples]
    bursts = [plan.bursts(write=False) + plan.bursts(write=True) for plan in plans]
    whole = sum(sample.weight * count for sample, count in zip(work.samples, bursts, strict=True))
    # Lines through two points may fall below what the units alone take.
    least = max(1, round(bare))
    each = memory.access_bytes // memory.dram.burst_bytes
    asked = (work.asked[0] * each, work.asked[1] * each) if work.asked else None
    found = combine(work.samples, timelines, min(1.0, sum(bursts) / whole), least, asked, each)
    note = f"sampled: {found.share:.2%} of the lines were simulated, in two windows of waves;"
    return Times(
        cycles=found.cycles,
        compute_cycles=least,
        traffic=found.traffic,
        stages=_stage_rows(work.plan.layout, found),
        notes=(f"{note} time is linear in what they miss in the L2, and in k-steps",),
    )


def _windowed(name: str, work: LayerPlan, memory: Memory) -> Times:
    """A long plan: every simulated window closes its books, the sums follow in proportion."""
    plan = work.plan
    segments = work.segments or (Segment(first=0, last=plan.jobs),)
    found, simulated = simulate_windows(plan, memory, segments, work.most_bursts)
    for piece, timeline in simulated:
        check_books(name, piece, timeline, memory)
    share = f"{found.share:.2%} of the bursts were simulated, in windows; the rest follows them"
    return Times(
        cycles=found.cycles,
        compute_cycles=compute_cycles(plan, segments),
        traffic=found.traffic,
        stages=_stage_rows(plan.layout, found),
        notes=(share,),
    )


def _require_addresses(name: str, machine: str, plan: Plan, memory: Memory) -> None:
    """Operands that lie beyond the memory are refused."""
    if not len(plan.runs):
        return
    ends = plan.runs["address"] + np.maximum(0, (plan.runs["count"] - 1) * plan.runs["stride"])
    needed, device = int(ends.max()) + memory.access_bytes, memory.dram
    if needed > device.capacity_bytes:
        raise ValueError(
            f"layer {name!r} on {machine}: its operands must fit the "
            f"{device.capacity_bytes >> 20} MiB of {device.device}, not {needed >> 20} MiB"
        )


def check_books(name: str, plan: Plan, timeline: Timeline, memory: Memory) -> None:
    """Raise BooksError unless bytes asked = bytes moved and busy + stalled + idle = lanes x cycles.

    Every burst that was moved is a row hit, miss or conflict, and the clocks of the pins are all spent.
    """
    done = timeline.traffic
    bursts = memory.access_bytes // memory.dram.burst_bytes
    asked = plan.bursts(write=False) * bursts, plan.bursts(write=True) * bursts
    answered = done.read_bursts + done.forwarded + done.cache_hits * bursts, done.write_bursts + done.merged
    if asked != answered:
        raise BooksError(f"layer {name!r}: bursts asked (read, write) are {asked}, moved {answered}")
    at_rows = done.row_hits + done.row_misses + done.row_conflicts
    if at_rows != done.read_bursts + done.write_bursts or done.pins.idle < 0:
        raise BooksError(f"layer {name!r}: {at_rows} bursts at rows, and the pins {done.pins}")
    asked_busy = np.where(plan.skip, 0, plan.busy).sum(axis=0)
    total = timeline.busy + timeline.stalled.sum(axis=1) + timeline.idle
    for index, stage in enumerate(plan.layout.stages):
        if total[index] != plan.layout.lanes * timeline.cycles or timeline.busy[index] != asked_busy[index]:
            raise BooksError(
                f"layer {name!r}, stage {stage.name!r}: busy {timeline.busy[index]} of {asked_busy[index]}, "
                f"with stalled and idle {total[index]} of {plan.layout.lanes * timeline.cycles} cycles"
            )
        if min(timeline.idle[index], timeline.stalled[index].min()) < 0:
            raise BooksError(f"layer {name!r}, stage {stage.name!r}: a negative count of cycles")


def _stage_rows(layout: Layout, timeline: Timeline | Windowed) -> tuple[StageRow, ...]:
    copies = {"lane": layout.lanes, "site": layout.sites, "machine": 1}
    return tuple(
        StageRow(
            name=stage.name,
            unit=stage.unit,
            instances=copies[stage.scope],
            memory=bool(stage.port),
            busy=int(timeline.busy[index]),
            idle=int(timeline.idle[index]),
            stalled=dict(zip(CAUSES, (int(n) for n in timeline.stalled[index]), strict=True)),
        )
        for index, stage in enumerate(layout.stages)
    )
