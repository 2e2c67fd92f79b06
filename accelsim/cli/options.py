"""Options that several commands share, and the accelerator that they describe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import typer

from accelsim.accelerators import find
from accelsim.accelerators.base import Accelerator
from accelsim.parameters import parse_settings, paths, replace_all

LARGEST_SEED = 2**63 - 1


def whole(text: str) -> int:
    """A whole number, or the parser's error that names what was given."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"must be a whole number, not {text!r}") from None


def seed(text: str) -> int:
    """A whole number from 0 to LARGEST_SEED."""
    value = whole(text)
    if value < 0:
        raise typer.BadParameter(f"must be >= 0, not {value}")
    if value > LARGEST_SEED:
        raise typer.BadParameter(f"must be <= {LARGEST_SEED}, not {value}")
    return value


def number(text: str) -> float:
    """A finite number, or the parser's error that names what was given."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise typer.BadParameter(f"must be a number, not {text!r}")
    return value


def count_option(flag: str, text: str, *, most: int | None = None) -> typer.models.OptionInfo:
    """An option that takes a whole number; with `most`, one from 1 to `most`."""

    def count(text: str) -> int:
        value = whole(text)
        if most is not None and not 1 <= value <= most:
            raise typer.BadParameter(f"must be from 1 to {most}, not {value}")
        return value

    option: typer.models.OptionInfo = typer.Option(flag, help=text, parser=count, metavar="N")
    return option


On = Annotated[
    str, typer.Option("--on", metavar="ACCEL[:PRESET]", help="The machine; see `accelsim accelerators`.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a parameter by its dotted name; may be repeated."
    ),
]
Json = Annotated[
    str | None,
    typer.Option(
        "--json", metavar="FILE", help="Write the report as JSON; - means stdout, and nothing else there."
    ),
]
ReportFile = Annotated[
    str | None, typer.Option("--report", metavar="FILE.html", help="Write the report as a page to look at.")
]
TimelineFile = Annotated[
    str | None,
    typer.Option("--timeline", metavar="FILE.json", help="Write what happened when, for ui.perfetto.dev."),
]
TimelineWindow = Annotated[
    str | None,
    typer.Option(
        "--timeline-window", metavar="A:B", help="Of the timeline, cycles A to B alone, every one of them."
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", parser=seed, metavar="N", help="Seed of everything that is drawn.")
]
Explain = Annotated[bool, typer.Option("--explain", help="Say what each layer and stage did.")]
Prune = Annotated[
    list[str] | None,
    typer.Option("--prune", metavar="RECIPE", help="Prune first; see `accelsim recipes`; may be repeated."),
]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """An accelerator as the user named it."""

    preset: str
    accelerator: Accelerator


def machine(on: str, settings: list[str] | None = None, **fields: str | None) -> Machine:
    """The accelerator `on` with `--set` and with options that replace the field of their name, if given.

    Raises ValueError for unknown words, and for an option whose field this accelerator does not have.
    """
    _, preset, accelerator = find(on)
    wanted = parse_settings(settings or [])
    for name, value in fields.items():
        if value is None:
            continue
        if name not in paths(accelerator):
            flag = name.replace("_", "-")
            raise ValueError(
                f"--{flag} cannot be {value!r} on {accelerator.name}: it has no parameter {name}"
            )
        wanted[name] = value
    return Machine(preset=preset, accelerator=replace_all(accelerator, wanted))
