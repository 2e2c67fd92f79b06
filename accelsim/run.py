"""Run a workload on an accelerator: plan each layer, simulate it, and close the books.

Layers run one after the other. What is equal is simulated once: layers that differ only in name, and
plans that are the same row by row (masks differ, cycles do not).
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from accelsim.accelerators import ACCELERATORS
from accelsim.accelerators.base import Accelerator, LayerPlan, Scheduled, memory_of
from accelsim.dram import Dram, Memory
from accelsim.dram.energy import energy as dram_energy
from accelsim.energy import area_mm2, energy_pj
from accelsim.golden.formats import Bitmap
from accelsim.machine import CAUSES, Timeline, Traffic, simulate
from accelsim.parameters import as_dict, changes
from accelsim.plan import Layout, Plan
from accelsim.report import LayerRow, Report, StageRow
from accelsim.windows import Segment, Windowed, compute_cycles, simulate_windows
from accelsim.workload import Layer, Workload

Progress = Callable[[str, int, int], None]

MOST_REASONS = 3  # in one warning

# A few minutes of simulation for one layer.
MOST_BURSTS = 10**9


class BooksError(RuntimeError):
    """Counts that must be equal are not: a fault in the simulator, never in its input."""


class SkippedLayersWarning(UserWarning):
    """A machine refused layers, which are in no total."""


def run(
    workload: Workload,
    accelerator: Accelerator,
    *,
    baseline: bool = True,
    preset: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Simulate the workload, and with `baseline` also the unpruned one, on the accelerator.

    `preset`: the name of the parameters that `accelerator` was made from; None finds it by comparison.
    `progress(layer, done, total)` is called before each layer. Layers that the machine refuses are
    listed, stay out of the totals, and give one SkippedLayersWarning. Raises machine.Deadlock and BooksError.
    """
    if isinstance(accelerator, Scheduled):
        accelerator.require_layers(workload.layers)
    dense = workload.dense() if baseline else None
    reasons = [accelerator.refuse(layer) for layer in workload.layers]
    if dense is not None:
        # Both models must count the same layers, or their ratio means nothing.
        reasons = [
            why or _unpruned(accelerator.refuse(layer))
            for why, layer in zip(reasons, dense.layers, strict=True)
        ]
    bench = _Bench(accelerator, progress, len(workload.layers) * (2 if baseline else 1))
    report = _report(workload, accelerator, preset, bench.rows(workload, reasons))
    if dense is not None:
        report = replace(report, baseline=_report(dense, accelerator, preset, bench.rows(dense, reasons)))
    _warn_of_skipped(report)
    return report


class _Times(NamedTuple):
    """What is kept of a plan's timelines, with the machine's memory and with an unlimited one."""

    cycles: int
    compute_cycles: int
    traffic: Traffic
    stages: tuple[StageRow, ...]
    notes: tuple[str, ...] = ()


@dataclass
class _Bench:
    """One accelerator and what it has already simulated."""

    accelerator: Accelerator
    progress: Progress | None
    total: int
    done: int = 0
    memory: Memory = field(init=False)
    known_layers: dict[bytes, LayerRow] = field(default_factory=dict)
    known_plans: dict[bytes, _Times] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.memory = memory_of(self.accelerator)

    def rows(self, workload: Workload, reasons: list[str]) -> tuple[LayerRow, ...]:
        """A row for each layer; those with a reason are not simulated."""
        rows = []
        for layer, reason in zip(workload.layers, reasons, strict=True):
            if self.progress:
                self.progress(layer.name, self.done, self.total)
            rows.append(_refused(layer, reason) if reason else self.row(layer))
            self.done += 1
        return tuple(rows)

    def row(self, layer: Layer) -> LayerRow:
        """The layer on the machine."""
        # A schedule pins layers by name; without one, layers that differ in nothing else are one.
        key = _layer_key(layer)
        if isinstance(self.accelerator, Scheduled) and self.accelerator.schedule:
            key += layer.name.encode()
        if key not in self.known_layers:
            self.known_layers[key] = self._simulate(layer)
        return replace(self.known_layers[key], name=layer.name)

    def _simulate(self, layer: Layer) -> LayerRow:
        machine = self.accelerator
        try:
            work = machine.plan(layer)
        except ValueError as error:
            place = f"layer {layer.name!r}"
            message = str(error).removeprefix(f"{place}: ")
            raise ValueError(f"{place} on {machine.name}: {message}") from None
        key = _plan_key(work.plan) + repr((work.segments, work.most_bursts)).encode()
        if key not in self.known_plans:
            self.known_plans[key] = self._times(layer.name, work)
        times = self.known_plans[key]
        # Recomputed products come on top of what the dense model needs.
        once = work.macs_done - int(work.facts.get("macs_again", 0))
        if not 0 <= once <= work.macs_dense:
            raise BooksError(f"layer {layer.name!r}: {work.macs_done} MACs done of {work.macs_dense}")
        return LayerRow(
            name=layer.name,
            op=layer.op,
            cycles=times.cycles,
            compute_cycles=times.compute_cycles,
            seconds=times.cycles / machine.clock_hz + work.launches * machine.launch_seconds,
            read_bytes=times.traffic.read_bursts * machine.dram.burst_bytes,
            write_bytes=times.traffic.write_bursts * machine.dram.burst_bytes,
            traffic=times.traffic,
            macs_dense=work.macs_dense,
            macs_done=work.macs_done,
            launches=work.launches,
            notes=(*work.notes, *times.notes),
            facts=work.facts,
            stages=times.stages,
            dram_pj=_dram_pj(machine.dram, times.traffic),
            **self._energy(work.events),
        )

    def _energy(self, events: Mapping[str, float]) -> dict[str, Any]:
        """The events' energy: by part, and summed by what the parts are."""
        parts = self.accelerator.parts()
        by_part = energy_pj(parts, events)
        groups = {part.name: part.group for part in parts}
        sums = {"sram": 0.0, "logic": 0.0}
        for name, pj in by_part.items():
            sums[groups[name]] += pj
        return {"sram_pj": sums["sram"], "logic_pj": sums["logic"], "part_pj": by_part}

    def _times(self, name: str, work: LayerPlan) -> _Times:
        plan = work.plan
        try:
            plan.check()
        except ValueError as error:
            raise BooksError(f"layer {name!r}: the plan breaks its own rules: {error}") from error
        bursts = plan.bursts(write=False) + plan.bursts(write=True)
        self._require_addresses(name, plan)
        if work.segments or 0 < work.most_bursts < bursts:
            return self._windowed(name, work)
        if bursts > MOST_BURSTS:
            raise ValueError(
                f"layer {name!r} on {self.accelerator.name} must move at most {MOST_BURSTS} bursts, not "
                f"{bursts}: take a smaller product or larger buffers"
            )
        timeline = simulate(plan, self.memory)
        check_books(name, plan, timeline, self.memory)
        return _Times(
            cycles=timeline.cycles,
            compute_cycles=simulate(plan, None).cycles,
            traffic=timeline.traffic,
            stages=_stage_rows(plan.layout, timeline),
        )

    def _windowed(self, name: str, work: LayerPlan) -> _Times:
        """A long plan: every simulated window closes its books, the sums follow in proportion."""
        plan = work.plan
        segments = work.segments or (Segment(first=0, last=plan.jobs),)
        found, simulated = simulate_windows(plan, self.memory, segments, work.most_bursts)
        for piece, timeline in simulated:
            check_books(name, piece, timeline, self.memory)
        share = f"{found.share:.2%} of the bursts were simulated, in windows; the rest follows them"
        return _Times(
            cycles=found.cycles,
            compute_cycles=compute_cycles(plan, segments),
            traffic=found.traffic,
            stages=_stage_rows(plan.layout, found),
            notes=(share,),
        )

    def _require_addresses(self, name: str, plan: Plan) -> None:
        """Operands that lie beyond the memory are refused."""
        if not len(plan.runs):
            return
        ends = plan.runs["address"] + np.maximum(0, (plan.runs["count"] - 1) * plan.runs["stride"])
        needed, device = int(ends.max()) + self.memory.access_bytes, self.memory.dram
        if needed > device.capacity_bytes:
            raise ValueError(
                f"layer {name!r} on {self.accelerator.name}: its operands must fit the "
                f"{device.capacity_bytes >> 20} MiB of {device.device}, not {needed >> 20} MiB"
            )


def _dram_pj(device: Dram, traffic: Traffic) -> float | None:
    """Energy of the memory's commands, and of what stands open meanwhile; None for a device without entry."""
    by_cause = dram_energy(
        device,
        activates=traffic.activates,
        reads=traffic.read_bursts,
        writes=traffic.write_bursts,
        refreshes=traffic.refreshes,
        clocks=traffic.clocks,
        open_clocks=traffic.open_clocks,
    )
    return by_cause.total if by_cause else None


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


def _report(
    workload: Workload, accelerator: Accelerator, preset: str | None, layers: tuple[LayerRow, ...]
) -> Report:
    kind = ACCELERATORS.get(accelerator.name)
    presets: Mapping[str, object] = kind.presets if kind else {}
    if preset is None:
        preset = next((name for name, known in presets.items() if known == accelerator), None)
    named = presets.get(preset) if preset is not None else None
    changed = changes(accelerator, named) if named is not None else []
    return Report(
        model=workload.model,
        accelerator=accelerator.name,
        preset=preset,
        parameters=as_dict(accelerator),
        clock_hz=accelerator.clock_hz,
        device=accelerator.dram.device,
        peak_bytes_per_second=accelerator.dram.peak_bandwidth,
        launch_seconds=accelerator.launch_seconds,
        start_cycles=getattr(accelerator, "start_cycles", 0),
        area_mm2=None if accelerator.energy.fabric == "fpga" else area_mm2(accelerator.parts()),
        layers=layers,
        synthetic=workload.synthetic,
        notes=workload.notes,
        assumptions=accelerator.assumptions(),
        changes=tuple(changed),
    )


def _unpruned(reason: str) -> str:
    return f"unpruned, it cannot run: {reason}" if reason else ""


def _refused(layer: Layer, reason: str) -> LayerRow:
    return LayerRow(name=layer.name, op=layer.op, macs_dense=layer.dense().macs, reason=reason)


def _warn_of_skipped(report: Report) -> None:
    skipped = report.skipped_layers
    if not skipped:
        return
    reasons = list(dict.fromkeys(row.reason for row in skipped))
    macs = sum(row.macs_dense for row in skipped)
    share = macs / max(1, macs + report.macs_dense)
    warnings.warn(
        f"{report.accelerator} does not run {len(skipped)} of {len(report.layers)} layers "
        f"({share:.1%} of the MACs), which are in no total: {'; '.join(reasons[:MOST_REASONS])}"
        f"{', ...' if len(reasons) > MOST_REASONS else ''}",
        SkippedLayersWarning,
        stacklevel=3,
    )


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


def _layer_key(layer: Layer) -> bytes:
    """Equal for layers that differ in nothing but their name."""
    digest = hashlib.blake2b(type(layer).__name__.encode())
    for entry in fields(layer):
        if entry.name != "name":
            _digest_value(digest, entry.name, getattr(layer, entry.name))
    return digest.digest()


def _plan_key(plan: Plan) -> bytes:
    """Equal for plans that are the same row by row."""
    digest = hashlib.blake2b(_layout_name(plan.layout))
    for entry in fields(plan):
        if entry.name != "layout":
            _digest_value(digest, entry.name, getattr(plan, entry.name))
    return digest.digest()


@lru_cache(maxsize=32)
def _layout_name(layout: Layout) -> bytes:
    return repr(layout).encode()


def _digest_value(digest: Any, name: str, value: Any) -> None:
    if isinstance(value, Bitmap):
        _digest_value(digest, f"{name} {value.shape}", value.bits)
    elif isinstance(value, np.ndarray):
        digest.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
        digest.update(np.ascontiguousarray(value).view(np.uint8).data if value.size else b"")
    else:
        plain = sorted(value.items()) if isinstance(value, Mapping) else value
        digest.update(f"{name} {plain!r}\n".encode())
