"""`dram` and `devices`: a plain trace through the memory model, and the memories there are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TextIO

import typer

from accelsim.cli.options import Json, Settings, whole
from accelsim.cli.output import Lines, check_destination, destination, write_json
from accelsim.dram.banks import COMMANDS, Integers
from accelsim.dram.presets import DEVICES, find, sentence
from accelsim.dram.simulation import Totals, simulate
from accelsim.dram.timing import Device
from accelsim.dram.trace import blocks, read_trace
from accelsim.files import whole_file
from accelsim.parameters import parse_settings, replace_all


def add_commands(app: typer.Typer) -> None:
    """Put the commands of this file on the command line."""
    app.command("dram")(dram)
    app.command("devices")(devices)


def dram(
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="See `accelsim devices`.")],
    trace: Annotated[str, typer.Option("--trace", metavar="FILE", help="`LD 0x40`, `ST 128`, `0x40 READ`.")],
    channels: Annotated[
        int | None, typer.Option("--channels", parser=whole, metavar="C", help="Channels.")
    ] = None,
    ranks: Annotated[
        int | None, typer.Option("--ranks", parser=whole, metavar="R", help="Ranks of a channel.")
    ] = None,
    mapping: Annotated[
        str | None,
        typer.Option("--mapping", metavar="NAME", help="Order of the address bits, highest first."),
    ] = None,
    settings: Settings = None,
    commands: Annotated[
        str | None, typer.Option("--commands", metavar="FILE", help="Write every command to a file.")
    ] = None,
    json: Json = None,
) -> None:
    """A plain DRAM trace through the memory model: one line is one burst.

    \b
    Example:
      accelsim dram --device DDR4-2400 --ranks 2 --trace loads.trace --set tCCD_L=4
    """
    check_destination(json)
    check_destination(commands, flag="--commands")
    memory = _memory(device, channels, ranks, mapping, settings)
    # A pipe is read as well as a file.
    if not Path(trace).exists() or Path(trace).is_dir():
        raise ValueError(f"--trace must be a file, and there is no {trace!r}")
    with (
        Path(trace).open("rb") as file,
        _commands(commands) as write,
        _progress(trace) as advance,
    ):
        chunks = read_trace(blocks(file, name=trace), memory, name=trace)
        totals = simulate(memory, chunks, commands=write, progress=advance)
    if totals.inside:
        print(
            f"warning: {totals.inside} addresses inside a burst of {memory.burst_bytes} bytes were rounded"
            f" down, the first in line {totals.first_inside}",
            file=sys.stderr,
        )
    _show(totals, json)


def devices() -> None:
    """List the memories, one line each.

    \b
    Example:
      accelsim devices
    """
    width = max(map(len, DEVICES))
    for name, device in DEVICES.items():
        typer.echo(f"{name:<{width}}  {sentence(device)}")


def _memory(
    name: str, channels: int | None, ranks: int | None, mapping: str | None, settings: list[str] | None
) -> Device:
    """The device as the options change it; all at once, so that only the result is checked."""
    device = find(name)
    counts = {"channels": channels, "ranks": ranks}
    for flag, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"--{flag} must be >= 1, not {count}")
    wanted = {flag: str(count) for flag, count in counts.items() if count is not None}
    if mapping is not None:
        wanted["mapping"] = mapping
    return replace_all(replace(device), wanted | parse_settings(settings or []))


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int], None]]:
    """Requests so far: in place on a terminal, else a line now and then."""
    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status(title) as status:
            yield lambda requests: status.update(f"{title}: {requests:,} requests")
        return
    lines = Lines(title)
    yield lambda requests: lines.say(f"{requests:,} requests")


@contextmanager
def _commands(path: str | None) -> Iterator[Callable[[Integers], None] | None]:
    if path is None:
        yield None
        return
    with destination("--commands", path), whole_file(path) as file:
        file.write("# clock channel command rank bank row_or_column\n")
        yield lambda rows: _write_commands(file, rows)


def _write_commands(file: TextIO, rows: Integers) -> None:
    for clock, channel, command, rank, bank, place in rows.tolist():
        file.write(f"{clock} {channel} {COMMANDS[command]} {rank} {bank} {place}\n")


def _show(totals: Totals, json: str | None) -> None:
    energy = totals.energy
    values = {
        "device": totals.device.device,
        "channels": totals.device.channels,
        "ranks": totals.device.ranks,
        "mapping": totals.device.mapping,
        "cycles": totals.cycles,
        "seconds": totals.seconds,
        "gbps": totals.gbps,
        "reads": totals.reads,
        "writes": totals.writes,
        "row_hits": totals.row_hits,
        "row_misses": totals.row_misses,
        "row_conflicts": totals.row_conflicts,
        "forwarded_reads": totals.forwarded,
        "merged_writes": totals.merged,
        "read_latency_cycles": totals.read_latency,
        "drained_cycles": totals.drained,
        "activates": totals.activates,
        "refreshes": totals.refreshes,
        "lost_clocks": {
            "bus": totals.lost_to_bus,
            "activates": totals.lost_to_activates,
            "conflicts": totals.lost_to_conflicts,
            "refresh": totals.lost_to_refresh,
        },
        "energy_pj": energy.total if energy else None,
        "energy_by_cause_pj": energy._asdict() if energy else None,
    }
    if write_json(values, json):
        return
    for name, value in values.items():
        rows = value.items() if isinstance(value, dict) else [("", value)]
        for part, figure in rows:
            if figure is not None:
                shown = f"{figure:.6g}" if isinstance(figure, float) else figure
                typer.echo(f"{f'{name} {part}':<30} {shown}")
