"""Reports for reading: what matters first, then layer by layer, then what was assumed.

`rich` draws the tables and is imported only here. They are plain columns; a terminal sees the lines that
matter in bold.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from html import escape
from itertools import groupby
from typing import IO, TYPE_CHECKING

from accelsim.report.ablation import AblationStep, columns
from accelsim.report.names import Steps, block, short, together
from accelsim.report.quantities import figure, joules, seconds, size, times
from accelsim.report.report import Report
from accelsim.report.rows import Accuracy, LayerRow, ratio

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Pair = tuple[LayerRow, LayerRow | None]

PLAIN_COLUMNS = 10_000


def print_report(report: Report, *, explain: bool = False, file: IO[str] | None = None) -> None:
    """Print one report to `file`, default stdout. `explain` adds what each layer and stage did."""
    _print(file, lambda console: write_report(console, report, explain=explain))


def print_comparison(reports: Sequence[Report], *, file: IO[str] | None = None) -> None:
    """Print several machines side by side: totals, then the seconds of every layer."""
    _print(file, lambda console: write_comparison(console, reports))


def write_comparison(console: Console, reports: Sequence[Report]) -> None:
    """Totals of each machine, then every layer on each, then what each machine spends its time on."""
    times_and_bytes = ("dense", "pruned", "speed-up", "DRAM dense", "pruned", "less", "cycles")
    columns = (*times_and_bytes, "GOP/s done", "of dense")
    totals = _table(console, "machine", *columns)
    for report in reports:
        dense = report.baseline
        totals.add_row(
            _machine(report),
            seconds(dense.seconds) if dense else "-",
            seconds(report.seconds),
            times(report.speedup),
            size(dense.dram_bytes) if dense else "-",
            size(report.dram_bytes),
            times(report.dram_reduction),
            f"{report.cycles:,}",
            _gops(report.gops_done),
            _gops(report.gops_dense),
        )
    _put(console, totals)
    console.print()
    _put(console, _comparison_layers(console, reports))
    console.print()
    for report in reports:
        console.print(f"{_machine(report)}: bottleneck {report.bottleneck or 'none: nothing was simulated'}")


def as_text(report: Report) -> str:
    """The report as plain text."""
    file = io.StringIO()
    print_report(report, file=file)
    return file.getvalue().rstrip("\n")


def as_html(report: Report) -> str:
    """The report as an HTML table, for notebooks."""
    compared = ("layer", "dense cycles", "pruned", "speed-up", "DRAM dense", "pruned")
    names = compared if report.baseline else ("layer", "op", "cycles", "compute", "DRAM")
    rows = [[steps.title(), *_step_cells(steps)] for steps in _steps(report)]
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f"<p><b>{escape(headline(report))}</b></p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def headline(report: Report) -> str:
    """One line: model, machine, time, speed-up and DRAM bytes."""
    start = f"{report.model} on {_machine(report)}"
    if not report.cycles:
        return f"{start}  nothing was simulated"
    dense = report.baseline
    if dense is None:
        return f"{start}  {seconds(report.seconds)}  DRAM {size(report.dram_bytes)}"
    return (
        f"{start}  dense {seconds(dense.seconds)} -> {seconds(report.seconds)}  {times(report.speedup)}  "
        f"DRAM {size(dense.dram_bytes)} -> {size(report.dram_bytes)}"
    )


def write_report(console: Console, report: Report, *, explain: bool) -> None:
    """All parts of a report, in the order in which they matter."""
    console.print(headline(report), style="bold")
    if report.synthetic:
        console.print("synthetic: weights or decisions are drawn, not a model's own")
    console.print()
    _put(console, _layers(console, report))
    if report.cycles:
        console.print()
        _put(console, _totals(console, report))
    if report.ablation:
        console.print()
        _put(console, _ablation(console, report.ablation))
    console.print()
    if report.accuracy is not None:
        _write_accuracy(console, report.accuracy)
    for title, lines in (("notes", _notes(report, explain=explain)), ("assumptions", report.assumptions)):
        if lines:
            console.print(f"{title}:")
            for line in lines:
                console.print(f"  {line}")
    if explain:
        _write_explanation(console, report)


def _print(file: IO[str] | None, write: Callable[[Console], None]) -> None:
    """Let `write` print; where there is no terminal, without the blanks that pad the last column."""
    console = _console(file)
    if console.is_terminal:
        write(console)
        return
    with console.capture() as captured:
        write(console)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()), file=file)


def _console(file: IO[str] | None) -> Console:
    from rich.console import Console

    console = Console(
        file=file,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
        force_jupyter=False,  # in a notebook rich would show a second table beside the text
        force_terminal=None if file is None else file.isatty(),  # whatever FORCE_COLOR says
    )
    if not console.is_terminal:
        console.width = PLAIN_COLUMNS
    return console


def _table(console: Console, first: str, *others: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _put(console: Console, table: Table) -> None:
    """Print a table at its full width: in a narrow terminal lines wrap, but no figure is cut."""
    needed = console.measure(table, options=console.options.update(width=PLAIN_COLUMNS)).maximum
    width = console.width
    console.width = max(needed, width)
    console.print(table)
    console.width = width


def _machine(report: Report) -> str:
    name = f"{report.accelerator}:{report.preset}" if report.preset else report.accelerator
    return f"{name} ({', '.join(report.changes)})" if report.changes else name


def _layers(console: Console, report: Report) -> Table:
    """Every layer; the layers of a block of the model stand below a line with their sums."""
    if report.baseline is None:
        table = _table(console, "layer", "op", "cycles", "compute", "DRAM")
    else:
        table = _table(console, "layer", "dense cycles", "pruned", "speed-up", "DRAM dense", "pruned")
    for start, found in groupby(_steps(report), key=lambda steps: block(steps.name)):
        layers = list(found)
        heading = start if len(layers) > 1 else ""
        if heading:
            cells = _cells([pair for steps in layers for pair in steps.items])
            table.add_row(short(heading), *cells, style="bold" if console.is_terminal else "")
        shown, refused = _shown(layers)
        for steps in shown:
            name = steps.title(heading) or f"({steps.items[0][0].op})"
            table.add_row(f"  {name}" if heading else name, *_step_cells(steps))
        if refused:
            table.add_row(f"  {refused} layers not simulated")
    return table


def _steps(report: Report) -> list[Steps[Pair]]:
    """The layers, and equal steps of one as one."""
    return together((pair[0].name, tuple(_cells([pair])), pair) for pair in report.pairs())


def _shown(layers: Sequence[Steps[Pair]]) -> tuple[Sequence[Steps[Pair]], int]:
    """The layers of a block to print one by one, and how many refused ones to print as one."""
    simulated = [steps for steps in layers if steps.items[0][0].simulated]
    refused = sum(len(steps.items) for steps in layers) - sum(len(steps.items) for steps in simulated)
    return (simulated, refused) if simulated and refused > 1 else (layers, 0)


def _step_cells(steps: Steps[Pair]) -> list[str]:
    """Cycles and bytes of all steps of a layer together, so that columns add up."""
    return _cells(steps.items, op=steps.items[0][0].op)


def _cells(pairs: Sequence[Pair], *, op: str = "") -> list[str]:
    """Cycles and bytes of one layer, or the sums of several."""
    rows, denses = [row for row, _ in pairs], [dense for _, dense in pairs if dense]
    if not any(row.simulated for row in rows):
        return [*(["-"] if denses else [op]), "not run", "-", "-", *(["-"] if denses else [])]
    cycles, moved = f"{_total(rows, 'cycles'):,}", size(_total(rows, "dram_bytes"))
    if not denses:
        return [op, cycles, f"{_total(rows, 'compute_cycles'):,}", moved]
    speedup = times(ratio(_total(denses, "seconds"), _total(rows, "seconds")))
    return [f"{_total(denses, 'cycles'):,}", cycles, speedup, size(_total(denses, "dram_bytes")), moved]


def _total(rows: Sequence[LayerRow], figure: str) -> float:
    total: float = sum(getattr(row, figure) for row in rows if row.simulated)
    return total


def _totals(console: Console, report: Report) -> Table:
    reports = [report.baseline, report] if report.baseline else [report]
    table = _table(console, "total", *(["dense", "pruned", ""] if report.baseline else [""]))

    def add(name: str, values: list[str], change: str = "") -> None:
        table.add_row(name, *values, *([change] if report.baseline else []))

    add("cycles", [f"{each.cycles:,}" for each in reports])
    add("compute cycles", [f"{each.compute_cycles:,}" for each in reports])
    add("time", [seconds(each.seconds) for each in reports], times(report.speedup))
    add("DRAM read", [size(each.read_bytes) for each in reports])
    add("DRAM written", [size(each.write_bytes) for each in reports])
    add("DRAM", [size(each.dram_bytes) for each in reports], times(report.dram_reduction))
    add("bandwidth", ["-" if each.gbps is None else f"{each.gbps:.3g} GB/s" for each in reports])
    add("row hits", [_share_of_hits(each) for each in reports])
    saved = ratio(report.macs_dense, report.macs_done)
    add("MACs done", [f"{each.macs_done:,}" for each in reports], times(saved))
    add("GOP/s done", [_gops(each.gops_done) for each in reports])
    add("GOP/s of the dense model", [_gops(each.gops_dense) for each in reports])
    for name in ("dram", "sram", "logic", "total"):
        values = [getattr(each, f"{name}_pj") for each in reports]
        if values[-1] is not None:
            change = times(ratio(*values)) if len(values) == 2 else ""
            title = "energy" if name == "total" else f"energy {name if name == 'logic' else name.upper()}"
            add(title, [joules(value) for value in values], change)
    return table


def _gops(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _ablation(console: Console, steps: Sequence[AblationStep]) -> Table:
    """Each technique on top of those before it."""
    names, rows = columns(steps)
    table = _table(console, *names)
    for row in rows:
        table.add_row(*row)
    table.columns[-1].justify = "left"
    return table


def _share_of_hits(report: Report) -> str:
    rows = [row.traffic for row in report.layers if row.traffic]
    bursts = sum(row.read_bursts + row.write_bursts for row in rows)
    return f"{sum(row.row_hits for row in rows) / bursts:.1%}" if bursts else "-"


def _notes(report: Report, *, explain: bool) -> list[str]:
    """The bottleneck, the workload's notes, and what layers say, equal lines joined.

    The facts of a single layer are here, too, unless `explain` lists them for every layer.
    """
    lines = [f"bottleneck: {report.bottleneck}"] if report.bottleneck else []
    lines += report.notes
    said: dict[str, list[str]] = {}
    for row in report.layers:
        for note in (f"not simulated: {row.reason}",) if row.reason else row.notes:
            said.setdefault(note, []).append(short(row.name))
    for note, names in said.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        lines.append(f"{names[0]}{more}: {note}")
    if not explain and len(report.layers) == 1 and report.layers[0].facts:
        lines.append(f"{short(report.layers[0].name)}: {_facts(report.layers[0])}")
    return lines


def _facts(row: LayerRow) -> str:
    values = (
        f"{name.replace('_', ' ')} {value:.4g}"
        if isinstance(value, float)
        else f"{name.replace('_', ' ')} {value}"
        for name, value in row.facts.items()
    )
    return ", ".join(values) or row.reason or "nothing to add"


def _write_accuracy(console: Console, accuracy: Accuracy) -> None:
    figures = f"dense {figure(accuracy.dense)}, pruned {figure(accuracy.pruned)}"
    if accuracy.refitted is not None:
        figures += f", pruned with its last layer fitted anew {figure(accuracy.refitted)}"
    console.print(f"{accuracy.metric}; {accuracy.samples:,} samples: {figures}")
    if accuracy.spread is not None:
        intervals = (
            f"{name} {' to '.join(map(figure, ends))}"
            for name in ("dense", "pruned", "difference")
            if (ends := getattr(accuracy.spread, name)) is not None
        )
        console.print(f"  {accuracy.spread.method}: {', '.join(intervals)}")
    for other in accuracy.others:
        _write_accuracy(console, other)


def _write_explanation(console: Console, report: Report) -> None:
    console.print("layers:")
    for steps in together((row.name, (row.verdict, _facts(row)), row) for row in report.layers):
        row = steps.items[0]
        for line in filter(None, (row.verdict, _facts(row))):
            console.print(f"  {steps.title()}: {line}")
    first = next((row.stages for row in report.layers if row.stages), ())
    table = _table(console, "stage", "busy", "idle", *(first[0].stalled if first else ()))
    stalls = report.stalls
    for name, causes in stalls.items():
        stages = [stage for row in report.layers for stage in row.stages if stage.name == name]
        busy, idle = sum(stage.busy for stage in stages), sum(stage.idle for stage in stages)
        table.add_row(name, *(f"{cycles:,}" for cycles in (busy, idle, *causes.values())))
    if stalls:
        console.print("cycles by stage, summed over lanes (stalls by cause):")
        _put(console, table)
    if parts := report.part_pj:
        console.print("energy by part:")
        energies = _table(console, "part", "energy")
        for name, picojoules in parts.items():
            energies.add_row(name, joules(picojoules))
        _put(console, energies)


def _comparison_layers(console: Console, reports: Sequence[Report]) -> Table:
    columns = (name for report in reports for name in (_machine(report), "speed-up"))
    table = _table(console, "layer", *columns)
    lines = (
        (rows[0][0].name, tuple(_times([rows])), rows)
        for rows in zip(*(report.pairs() for report in reports), strict=True)
    )
    for steps in together(lines):
        table.add_row(steps.title(), *_times(steps.items))
    return table


def _times(steps: Sequence[Sequence[Pair]]) -> list[str]:
    """Seconds and speed-up on each machine of a layer, or of its steps together."""
    cells = []
    for pairs in zip(*steps, strict=True):
        rows, denses = [row for row, _ in pairs], [dense for _, dense in pairs if dense]
        taken = _total(rows, "seconds") if any(row.simulated for row in rows) else None
        cells += [seconds(taken), times(ratio(_total(denses, "seconds"), taken))]
    return cells
