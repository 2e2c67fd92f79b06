"""What the page says of one machine, as plain rows: bars in percent, points in the units of their drawing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accelsim.report.ablation import columns
from accelsim.report.figures import StageCycles, energy_parts, operand_bytes, roofline, stage_cycles
from accelsim.report.page.roofline import Drawing, draw
from accelsim.report.page.savings import Savings, savings
from accelsim.report.quantities import figure, joules, seconds, size
from accelsim.report.report import Report
from accelsim.report.rows import Accuracy, LayerRow, ratio

Pair = tuple[LayerRow, LayerRow | None]

MOST_LINES = 500
"""In the table of layers; of more, those that take most of the time."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A bar of `parts` (kind, share of the width in percent, what it says) with its label and figure."""

    label: str
    value: str
    parts: tuple[tuple[str, float, str], ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One figure of the dense and of the pruned model, on a common scale."""

    title: str
    saved: float | None
    bars: tuple[Bar, ...]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One layer in the table.

    `share`: of the time; `length`: of the longest, in percent; `waits`: share of the cycles that memory adds.
    """

    row: LayerRow
    dense: LayerRow | None
    speedup: float | None
    share: float | None
    length: float
    waits: float | None
    kept: float | None
    energy_pj: float | None


@dataclass(frozen=True, kw_only=True)
class Section:
    """One machine's part of the page. `lines_share`: of the time, where not all layers have a line."""

    id: str
    machine: str
    report: Report
    comparisons: tuple[Comparison, ...]
    roofline: Drawing | None
    stages: tuple[tuple[StageCycles, Bar], ...]
    operands: tuple[Comparison, ...]
    lines: tuple[Line, ...]
    lines_share: float | None
    accuracies: tuple[Accuracy, ...]
    ablation: tuple[list[str], list[list[str]]] | None
    savings: Savings | None
    parameters: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    @property
    def shown(self) -> frozenset[str]:
        """Names of the layers that have a line."""
        return frozenset(line.row.name for line in self.lines)


def section(report: Report, index: int) -> Section:
    """All that the page says of the report, the `index`th."""
    name = f"{report.accelerator}:{report.preset}" if report.preset else report.accelerator
    drawn, lines = roofline(report), tuple(_lines(report))
    return Section(
        id=f"machine-{index}",
        machine=name,
        report=report,
        comparisons=tuple(_comparisons(report)),
        roofline=draw(drawn, report.seconds) if drawn.pruned else None,
        stages=tuple((stage, _stage_bar(stage)) for stage in stage_cycles(report)),
        operands=tuple(_operands(report)),
        lines=lines,
        lines_share=None if len(lines) == len(report.layers) else sum(line.share or 0.0 for line in lines),
        accuracies=tuple(_accuracies(report.accuracy)),
        ablation=columns(report.ablation) if report.ablation else None,
        savings=savings(report),
        parameters=tuple(_flat(report.parameters)),
        notes=tuple(_notes(report)),
    )


def _comparisons(report: Report) -> Iterator[Comparison]:
    dense = report.baseline
    yield _pair("time", dense.seconds if dense else None, report.seconds, seconds)
    yield _pair("DRAM bytes", dense.dram_bytes if dense else None, report.dram_bytes, size)
    yield _pair(
        "multiply-accumulates",
        dense.macs_done if dense else None,
        report.macs_done,
        lambda count: f"{count:,.0f}",
    )
    if report.total_pj is not None:
        yield _energy(report)


def _pair(title: str, dense: float | None, pruned: float, words: Any) -> Comparison:
    most = max(dense or 0.0, pruned) or 1.0
    bars = (
        [Bar(label="dense", value=words(dense), parts=(("dense", 100 * dense / most, ""),))] if dense else []
    )
    label = "pruned" if dense else "this run"
    bars.append(Bar(label=label, value=words(pruned), parts=(("pruned", 100 * pruned / most, ""),)))
    return Comparison(title=title, saved=ratio(dense, pruned), bars=tuple(bars))


def _energy(report: Report) -> Comparison:
    reports = [("dense", report.baseline), ("pruned" if report.baseline else "this run", report)]
    most = max(each.total_pj or 0.0 for _, each in reports if each) or 1.0
    bars = tuple(
        Bar(
            label=label,
            value=joules(each.total_pj),
            parts=tuple(
                (name.lower(), 100 * (pj or 0.0) / most, f"{name} {joules(pj)}")
                for name, pj in energy_parts(each).items()
            ),
        )
        for label, each in reports
        if each
    )
    return Comparison(title="energy", saved=report.energy_saving, bars=bars)


def _stage_bar(stage: StageCycles) -> Bar:
    total = stage.total or 1
    kind, most = max(stage.parts().items(), key=lambda part: part[1], default=("idle", 0))
    return Bar(
        label=stage.name,
        value=f"{kind} {most / total:.0%}",
        parts=tuple(
            (kind, 100 * cycles / total, f"{_cause(kind)}: {cycles:,} cycles, {cycles / total:.1%}")
            for kind, cycles in stage.parts().items()
        ),
    )


def _cause(kind: str) -> str:
    return kind if kind in ("busy", "idle") else f"waits for {kind}"


def _operands(report: Report) -> Iterator[Comparison]:
    pruned = operand_bytes(report)
    dense = operand_bytes(report.baseline) if report.baseline else {}
    most = max([*pruned.values(), *dense.values(), 1])
    for name in dict.fromkeys([*dense, *pruned]):
        pairs = [("dense", dense.get(name, 0))] if report.baseline else []
        pairs.append(("pruned", pruned.get(name, 0)))
        if any(count for _, count in pairs):
            yield Comparison(
                title=name.removeprefix("fetch_").replace("_", " "),
                saved=ratio(dense.get(name), pruned.get(name)),
                bars=tuple(
                    Bar(label=kind, value=size(count), parts=((kind, 100 * count / most, ""),))
                    for kind, count in pairs
                ),
            )


def _lines(report: Report) -> Iterator[Line]:
    whole = report.seconds
    longest = max((each.seconds or 0.0 for each in report.layers), default=0.0)
    for row, dense in _longest(report.pairs()):
        yield _line(row, dense, whole, longest)


def _longest(pairs: Sequence[Pair]) -> Sequence[Pair]:
    """At most `MOST_LINES` of them, in their order; those that did not run are the first to go."""
    if len(pairs) <= MOST_LINES:
        return pairs
    by_time = sorted(range(len(pairs)), key=lambda index: -(pairs[index][0].seconds or 0.0))
    return [pairs[index] for index in sorted(by_time[:MOST_LINES])]


def _line(row: LayerRow, dense: LayerRow | None, whole: float, longest: float) -> Line:
    energies = (row.dram_pj, row.sram_pj, row.logic_pj)
    return Line(
        row=row,
        dense=dense,
        speedup=ratio(dense.seconds, row.seconds) if dense else None,
        share=row.seconds / whole if row.seconds and whole else None,
        length=100 * row.seconds / longest if row.seconds else 0.0,
        waits=1 - (row.compute_cycles or 0) / row.cycles if row.cycles else None,
        kept=row.macs_done / row.macs_dense if row.macs_done is not None and row.macs_dense else None,
        energy_pj=None if None in energies else sum(pj or 0.0 for pj in energies),
    )


def _accuracies(accuracy: Accuracy | None) -> Iterator[Accuracy]:
    if accuracy is not None:
        yield accuracy
        for other in accuracy.others:
            yield from _accuracies(other)


def _flat(parameters: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names, as `--set` takes them, and values."""
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, f"{value:,.10g}" if isinstance(value, float) else str(value)


def _notes(report: Report) -> Iterator[str]:
    """The workload's notes, and what layers say, equal lines joined."""
    yield from report.notes
    said: dict[str, list[str]] = {}
    for row in report.layers:
        for note in (f"not simulated: {row.reason}",) if row.reason else row.notes:
            said.setdefault(note, []).append(row.name)
    for note, names in said.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"{names[0]}{more}: {note}"


def interval(ends: tuple[float, float] | None) -> str:
    """Both ends of an interval, for reading."""
    return "" if ends is None else f"{figure(ends[0])} to {figure(ends[1])}"
