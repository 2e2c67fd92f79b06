"""`verilog`, `verify`, `synth`, `units`: the hardware, its benches and its size."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accelsim import __version__
from accelsim.cli.options import Seed, Settings, count_option
from accelsim.cli.options import seed as seed_of
from accelsim.cli.output import check_destination, step, write_json
from accelsim.cli.own_files import write_own
from accelsim.cli.proofs import prove_unit
from accelsim.extras import require
from accelsim.parameters import as_dict, parse_settings, replace_all
from accelsim.words import unknown
from accelsim.workload import Workload

if TYPE_CHECKING:
    from accelsim_rtl.kit.unit import Unit

CHECK_FAILED = 1
SHOWN_COMPLAINTS = 10
MOST_SEEDS = 10_000
MOST_PLACER_SEEDS = 100

UnitName = Annotated[str, typer.Argument(metavar="UNIT[:PRESET]", help="See `accelsim units`.")]
Preset = Annotated[str | None, typer.Option("--preset", metavar="P", help="Parameters by name.")]
Json = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write JSON; - means stdout, and nothing else there."),
]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A unit as the user named it."""

    unit: Unit
    preset: str
    parameters: Any


def add_commands(app: typer.Typer) -> None:
    """Put the commands of this file on the command line."""
    app.command("verilog")(verilog)
    app.command("verify")(verify)
    app.command("synth")(synth)
    app.command("units")(units)


def verilog(
    unit: UnitName,
    output: Annotated[str, typer.Option("-o", "--output", metavar="DIR", help="Folder to write.")],
    preset: Preset = None,
    settings: Settings = None,
    board: Annotated[
        str | None,
        typer.Option(
            "--board",
            metavar="B",
            help="Clock of a board: arty_a7, ecp5_evn, u200; with a project: kcu105, ulx3s, vcu1525.",
        ),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Write a unit's Verilog, its ports and parameters, and a bench that runs anywhere.

    \b
    Example:
      accelsim verilog spatten.zero_eliminator --set lanes=8 -o build/
    """
    folder = _folder(output)
    chosen = _unit("accelsim verilog", unit, preset, settings)
    from accelsim_rtl.kit.folder import contents

    with step(f"Verilog of {chosen.unit.name}"):
        texts = contents(
            chosen.unit,
            chosen.parameters,
            values=as_dict(chosen.parameters),
            preset=chosen.preset,
            seed=seed,
            accelsim=__version__,
            board=board,
        )
    outcome = write_own(folder, texts)
    for path in outcome.written:
        typer.echo(path)
    for what, names in (("removed", outcome.removed), ("kept, as they were changed", outcome.kept)):
        if names:
            typer.echo(f"{what}: {', '.join(names)}, of an earlier writing", err=True)


def verify(
    unit: UnitName,
    preset: Preset = None,
    settings: Settings = None,
    simulator: Annotated[
        str, typer.Option("--simulator", metavar="NAME", help="icarus, verilator, amaranth or all.")
    ] = "icarus",
    seeds: Annotated[
        list[str] | None,
        typer.Option("--seed", metavar="N|N..M", help="Seed, or seeds, of stimulus and stalls."),
    ] = None,
    waves: Annotated[
        str | None, typer.Option("--waves", metavar="FILE", help="Write the waves (VCD; Icarus: FST).")
    ] = None,
    workload: Annotated[
        str | None,
        typer.Option("--workload", metavar="FILE", help="Replay a traced workload's decisions."),
    ] = None,
    proofs: Annotated[
        bool, typer.Option("--prove", help="Run the proofs by induction instead of the bench.")
    ] = False,
    json: Json = None,
) -> None:
    """Run a unit's bench: outputs against golden, every row and all cycles against the model.

    \b
    Example:
      accelsim verify spatten.zero_eliminator --set lanes=4 --seed 1..20 --simulator all
    """
    check_destination(json)
    _check_waves(waves, simulator)
    traced = None if workload is None else Workload.load(workload)
    # The rows of a real workload are longer than what `tiny` takes.
    chosen = _unit("accelsim verify", unit, preset or ("tiny" if traced is None else None), settings)
    if proofs:
        if prove_unit(chosen.unit.name, json):
            return
        raise typer.Exit(CHECK_FAILED)
    wanted = _seeds(seeds or ["0"])
    from accelsim_rtl.kit.simulators import SIMULATORS
    from accelsim_rtl.kit.simulators import require as require_simulator
    from accelsim_rtl.kit.verify import Bench

    if simulator != "all" and simulator not in SIMULATORS:
        raise ValueError(unknown("--simulator", simulator, [*SIMULATORS, "all"]))
    names = SIMULATORS if simulator == "all" else (simulator,)
    if waves and len(names) > 1:
        raise ValueError(f"--waves needs one simulator, not {simulator!r}")
    for name in names:
        require_simulator(name)
    bench, verdicts = Bench(chosen.unit, chosen.parameters), []
    prepared = [bench.prepare(seed, traced) for seed in wanted]
    for name in names:
        with step(f"{chosen.unit.name} on {name}"):
            verdicts += bench.run(prepared, name, Path(waves).resolve() if waves else None)
    values = [verdict.as_dict() for verdict in verdicts]
    if not write_json(values[0] if len(values) == 1 else values, json):
        for verdict in verdicts:
            typer.echo("  ".join(f"{key} {value}" for key, value in verdict.as_dict().items()))
    failed = [verdict for verdict in verdicts if not verdict.passed]
    for verdict in failed:
        for line in verdict.complaints[:SHOWN_COMPLAINTS]:
            print(f"{verdict.simulator} seed {verdict.seed}: {line}", file=sys.stderr)
    if failed:
        raise typer.Exit(CHECK_FAILED)


def _check_waves(waves: str | None, simulator: str) -> None:
    """Raise ValueError now for a file that no simulator would write, or no viewer read by its name."""
    check_destination(waves, flag="--waves")
    if waves is None:
        return
    if Path(waves).exists() and not Path(waves).is_file():
        raise ValueError(f"--waves must be a plain file, not {waves!r}")
    if simulator == "icarus" and waves.endswith(".vcd"):
        raise ValueError(f"--waves must be called .fst, which Icarus writes, not {waves!r}")


def synth(
    unit: UnitName,
    target: Annotated[str, typer.Option("--target", metavar="NAME", help="xilinx, ecp5 or ice40.")],
    preset: Preset = None,
    settings: Settings = None,
    route: Annotated[
        bool, typer.Option("--route", help="Place and route, for the clock (ecp5; minutes).")
    ] = False,
    seeds: Annotated[
        int, count_option("--seeds", "Placer seeds; the clock is their median.", most=MOST_PLACER_SEEDS)
    ] = 3,
    json: Json = None,
) -> None:
    """Count a unit's LUT, FF, DSP and BRAM with Yosys; with --route also its clock, with nextpnr.

    \b
    Example:
      accelsim synth spatten.zero_eliminator --target ecp5 --route
    """
    check_destination(json)
    chosen = _unit("accelsim synth", unit, preset, settings)
    from accelsim_rtl.kit import synthesis
    from accelsim_rtl.kit.ports import ports
    from accelsim_rtl.kit.verilog import verilog as text_of

    if target not in synthesis.TARGETS:
        raise ValueError(unknown("--target", target, synthesis.TARGETS))
    if route and target != "ecp5":
        raise ValueError(f"--route needs --target ecp5, not {target!r}")
    synthesis.require(route=route)
    component = chosen.unit.instance(chosen.parameters, target=target)
    text = text_of(component, chosen.unit.top)
    with step(f"synthesis of {chosen.unit.name} for {target}"):
        found = synthesis.synthesise(text, chosen.unit.top, target)
    clock: dict[str, Any] = {"fmax_mhz": None, "fmax_mhz_by_seed": None, "critical_path": None}
    if route:
        with step(f"place and route of {chosen.unit.name}, {seeds} seeds"):
            clock = synthesis.route(text, chosen.unit.top, ports(component), seeds=seeds)
    cells = found.pop("cells")
    values = {"unit": chosen.unit.name, "target": target, **found, **clock}
    values |= {
        "preset": chosen.preset,
        "parameters": as_dict(chosen.parameters),
        "device": synthesis.TARGETS[target].device,
        "cells": cells,
        "versions": synthesis.versions(route=route),
    }
    if not write_json(values, json):
        for name, value in values.items():
            if value is not None and not isinstance(value, dict):
                typer.echo(f"{name:<16} {value}")
        if path := values["critical_path"]:
            delays = f"{path['logic_ns']} ns of logic, {path['routing_ns']} ns of wires"
            typer.echo(f"critical_path    {path['from']} to {path['to']}, {delays}")


def units(
    unit: Annotated[
        str | None, typer.Argument(metavar="[UNIT[:PRESET]]", help="One unit: parameters, ports, latency.")
    ] = None,
    preset: Preset = None,
    settings: Settings = None,
    json: Json = None,
) -> None:
    """List the hardware units, one line each; or tell all of one.

    \b
    Example:
      accelsim units spatten.zero_eliminator
    """
    check_destination(json)
    require("accelsim units", "amaranth", extra="rtl")
    from accelsim_rtl.units import UNITS

    if unit is not None:
        _tell(_unit("accelsim units", unit, preset, settings), json)
        return
    if settings or preset:
        raise ValueError("--set and --preset need a UNIT")
    lines = {name: f"{unit.sentence} [{', '.join(unit.presets)}]" for name, unit in UNITS.items()}
    if not write_json(
        [
            {"unit": name, "sentence": unit.sentence, "presets": list(unit.presets)}
            for name, unit in UNITS.items()
        ],
        json,
    ):
        width = max(map(len, lines))
        for name, line in lines.items():
            typer.echo(f"{name:<{width}}  {line}")


def _tell(chosen: Chosen, json: str | None) -> None:
    """Parameters, latency and ports of one unit."""
    from accelsim_rtl.kit.folder import describe

    component = chosen.unit.instance(chosen.parameters)
    about = describe(
        chosen.unit,
        chosen.parameters,
        component,
        values=as_dict(chosen.parameters),
        preset=chosen.preset,
        accelsim=__version__,
    )
    if write_json(about, json):
        return
    typer.echo(f"{chosen.unit.name}:{chosen.preset}  {chosen.unit.sentence}")
    for name, value in (about["parameters"] | about["latency"]).items():
        typer.echo(f"{name:<16}  {value}")
    for port in about["ports"]:
        typer.echo(f"{port['name']:<16}  {port['direction']:<6} {port['width']:>5}")


def _unit(caller: str, name: str, preset: str | None, settings: list[str] | None) -> Chosen:
    """The unit that the user named, and its parameters; without a preset the first."""
    require(caller, "amaranth", extra="rtl")
    from accelsim_rtl.units import find

    word, colon, given = name.partition(":")
    unit = find(word)
    preset = given if colon else preset or next(iter(unit.presets))
    if preset not in unit.presets:
        raise ValueError(unknown(f"preset of {word}", preset, unit.presets))
    parameters = replace_all(unit.presets[preset], parse_settings(settings or []))
    return Chosen(unit=unit, preset=preset, parameters=parameters)


def _folder(text: str) -> Path:
    """The folder to write to; its parent must be there."""
    folder = Path(text)
    if not text or (folder.exists() and not folder.is_dir()) or not folder.absolute().parent.is_dir():
        raise ValueError(f"-o must be a folder, or a new one in a folder that exists, not {text!r}")
    return folder


def _seeds(texts: list[str]) -> list[int]:
    """Seeds from words such as `3`, `1..20` and `1,5`."""
    wanted: list[int] = []
    for text in (part for word in texts for part in word.split(",")):
        match = re.fullmatch(r"(\d+)\.\.(\d+)", text.strip())
        if match is None:
            wanted.append(_seed(text))
            continue
        first, last = _seed(match[1]), _seed(match[2])
        if first > last or last - first >= MOST_SEEDS:
            raise ValueError(f"--seed N..M must rise and hold at most {MOST_SEEDS} seeds, not {text!r}")
        wanted += range(first, last + 1)
    return wanted


def _seed(text: str) -> int:
    """A seed within a list; the error names the option."""
    try:
        return seed_of(text)
    except typer.BadParameter as error:
        raise ValueError(f"--seed {error.message}") from None
