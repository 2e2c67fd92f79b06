"""Run a workload on an accelerator: plan each layer, simulate it, and close the books.

Layers run one after the other. What is equal is simulated once: layers that differ only in name, and
plans that are the same row by row (masks differ, cycles do not).
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from accelsim.accelerators import ACCELERATORS
from accelsim.accelerators.base import Accelerator, Explains, Scheduled, Timed, Typed, memory_of
from accelsim.dram import Dram, Memory
from accelsim.dram.energy import energy as dram_energy
from accelsim.energy import area_mm2, energy_pj
from accelsim.golden.formats import Bitmap
from accelsim.layer_times import BooksError, Times, layer_times
from accelsim.machine import Traffic
from accelsim.parameters import as_dict, changes, check_types
from accelsim.plan import Integers, Layout, Plan
from accelsim.report import LayerRow, Report
from accelsim.workload import Layer, Matmul, Workload

Progress = Callable[[str, int, int], None]

MOST_REASONS = 3  # in one warning


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
    _check(workload, accelerator)
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
    rows = bench.rows(workload, reasons)
    dense_rows = bench.rows(dense, reasons) if dense is not None else None
    report = _report(workload, accelerator, preset, _explained(accelerator, rows, dense_rows))
    if dense is not None and dense_rows is not None:
        base = _report(dense, accelerator, preset, _explained(accelerator, dense_rows, None))
        report = replace(report, baseline=base)
    _warn_of_skipped(report)
    return report


def _check(workload: object, accelerator: object) -> None:
    """Refuse what is no workload, no accelerator, or has parameters of other types than it says."""
    if not isinstance(workload, Workload):
        given = type(workload).__name__
        raise ValueError(f"workload must be a Workload, as accelsim.trace makes one, not {given}")
    if isinstance(accelerator, type) or not hasattr(accelerator, "plan"):
        raise ValueError(f"accelerator must be one such as accelsim.Sat(), not {accelerator!r}")
    if is_dataclass(accelerator):
        check_types(accelerator)


@dataclass
class _Bench:
    """One accelerator and what it has already simulated."""

    accelerator: Accelerator
    progress: Progress | None
    total: int
    done: int = 0
    memory: Memory = field(init=False)
    known_layers: dict[bytes, LayerRow] = field(default_factory=dict)
    known_plans: dict[bytes, Times] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.memory = memory_of(self.accelerator)

    def rows(self, workload: Workload, reasons: list[str]) -> tuple[LayerRow, ...]:
        """A row for each layer; those with a reason are not simulated."""
        rows, layers = [], len(workload.layers)
        for number, (layer, reason) in enumerate(zip(workload.layers, reasons, strict=True), start=1):
            if self.progress:
                self.progress(layer.name, self.done, self.total)
            place = f"layer {layer.name!r}" + (f" ({number} of {layers})" if layers > 1 else "")
            rows.append(_refused(layer, reason) if reason else self.row(layer, place))
            self.done += 1
        return tuple(rows)

    def row(self, layer: Layer, place: str) -> LayerRow:
        """The layer on the machine; `place` is for errors."""
        # A schedule pins layers by name; without one, layers that differ in nothing else are one.
        key = _layer_key(layer)
        if isinstance(self.accelerator, Scheduled) and self.accelerator.schedule:
            key += layer.name.encode()
        if key not in self.known_layers:
            self.known_layers[key] = self._simulate(layer, place)
        return replace(self.known_layers[key], name=layer.name)

    def _simulate(self, layer: Layer, place: str) -> LayerRow:
        machine = self.accelerator
        try:
            if isinstance(machine, Typed):
                machine = machine.for_layer(layer)
            work = machine.plan(layer)
        except ValueError as error:
            message = str(error).removeprefix(f"layer {layer.name!r}: ")
            raise ValueError(f"{place} on {machine.name}: {message}") from None
        key = _plan_key(work.plan) + repr((work.segments, work.most_bursts, work.asked)).encode()
        for sample in work.samples:
            key += _plan_key(sample.plan) + repr(sample.weight).encode() + _held_key(sample.held)
        key += _held_key(work.held)
        if key not in self.known_plans:
            self.known_plans[key] = layer_times(layer.name, machine.name, work, self.memory)
        times = self.known_plans[key]
        # Recomputed products come on top of what the dense model needs.
        once = work.macs_done - int(work.facts.get("macs_again", 0))
        if not 0 <= once <= work.macs_dense:
            raise BooksError(f"layer {layer.name!r}: {work.macs_done} MACs done of {work.macs_dense}")
        energy = _energy(machine, work.events)
        dram_pj = _dram_pj(machine.dram, times.traffic)
        launches = work.launch_seconds
        if launches is None:
            launches = work.launches * machine.launch_seconds
        chip_pj = energy["sram_pj"] + energy["logic_pj"]
        read_bytes = times.traffic.read_bursts * machine.dram.burst_bytes
        write_bytes = times.traffic.write_bursts * machine.dram.burst_bytes
        limit, moved = work.power, read_bytes + write_bytes
        powered = limit.seconds(chip_pj, dram_pj or 0.0, moved) if limit else 0.0
        return LayerRow(
            name=layer.name,
            op=layer.op,
            cycles=times.cycles,
            compute_cycles=times.compute_cycles,
            # Boards average their power over far more than a launch.
            seconds=max(times.cycles / machine.clock_hz + launches, powered),
            launch_seconds=launches,
            power_seconds=powered,
            read_bytes=read_bytes,
            write_bytes=write_bytes,
            traffic=times.traffic,
            macs_dense=work.macs_dense,
            macs_done=work.macs_done,
            launches=work.launches,
            notes=(*_taken_out(layer), *work.notes, *times.notes),
            facts=work.facts,
            stages=times.stages,
            operand_bytes=times.operand_bytes,
            dram_pj=dram_pj,
            **energy,
        )


def _taken_out(layer: Layer) -> tuple[str, ...]:
    """Which whole outputs and inputs a product has lost; none where none left."""
    if not isinstance(layer, Matmul):
        return ()
    sizes = (("outputs", layer.n, layer.dense_n), ("inputs", layer.k, layer.dense_k))
    said = [f"{here:,} of {unpruned:,} {what}" for what, here, unpruned in sizes if unpruned > here]
    return (f"{' and '.join(said)} are left: the others have no weight",) if said else ()


def _energy(machine: Accelerator, events: Mapping[str, float]) -> dict[str, Any]:
    """The events' energy: by part, and summed by what the parts are."""
    parts = machine.parts()
    by_part = energy_pj(parts, events)
    groups = {part.name: part.group for part in parts}
    sums = {"sram": 0.0, "logic": 0.0}
    for name, pj in by_part.items():
        sums[groups[name]] += pj
    return {"sram_pj": sums["sram"], "logic_pj": sums["logic"], "part_pj": by_part}


def _held_key(held: Integers | None) -> bytes:
    return b"nothing" if held is None else hashlib.sha256(held.tobytes()).digest()


def _explained(
    accelerator: Accelerator, rows: tuple[LayerRow, ...], dense: tuple[LayerRow, ...] | None
) -> tuple[LayerRow, ...]:
    """The rows with the machine's verdicts, if it gives any."""
    if not isinstance(accelerator, Explains):
        return rows
    others: tuple[LayerRow | None, ...] = dense or (None,) * len(rows)
    return tuple(
        replace(row, verdict=accelerator.verdict(_timed(row), _timed(other) if other else None))
        if row.simulated
        else row
        for row, other in zip(rows, others, strict=True)
    )


def _timed(row: LayerRow) -> Timed:
    return Timed(
        facts=row.facts,
        seconds=row.seconds or 0.0,
        cycles=row.cycles or 0,
        compute_cycles=row.compute_cycles or 0,
        launch_seconds=row.launch_seconds or 0.0,
        power_seconds=row.power_seconds or 0.0,
        read_bytes=row.read_bytes or 0,
        write_bytes=row.write_bytes or 0,
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
        peak_ops_per_second=_peak(accelerator, workload, layers),
        workload=workload,
        launch_seconds=accelerator.launch_seconds,
        start_cycles=getattr(accelerator, "start_cycles", 0),
        area_mm2=None if accelerator.energy.fabric == "fpga" else area_mm2(accelerator.parts()),
        layers=layers,
        synthetic=workload.synthetic,
        notes=workload.notes,
        assumptions=accelerator.assumptions(),
        changes=tuple(changed),
    )


def _peak(accelerator: Accelerator, workload: Workload, rows: tuple[LayerRow, ...]) -> float | None:
    """Operations a second of all arithmetic: of the fastest type, where layers run in their own."""
    machines = [accelerator]
    if isinstance(accelerator, Typed):
        pairs = zip(workload.layers, rows, strict=True)
        machines = [accelerator.for_layer(layer) for layer, row in pairs if row.simulated] or machines
    peaks = [getattr(machine, "peak_ops_per_second", None) for machine in machines]
    return max((peak for peak in peaks if peak is not None), default=None)


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
