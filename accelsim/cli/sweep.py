"""`sweep`: many points of a design space, each saved as it ends."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from accelsim.cli.options import Json, count_option
from accelsim.cli.output import Lines, check_destination, write_json
from accelsim.extras import require
from accelsim.report.quantities import figure

FAILED = 1
MOST_WORKERS = 4096
FRONT_SHOWN = 40
WIDE = 160

WORDS = ("model", "recipe", "machine")

Row = Mapping[str, Any]


def add_commands(app: typer.Typer) -> None:
    """Put the commands of this file on the command line."""
    app.command("sweep")(sweep)


def sweep(
    file: Annotated[str, typer.Argument(metavar="FILE.yaml", help="Models, recipes, machines, parameters.")],
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="A Dask scheduler, such as tcp://host:8786; default: here."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what FILE.sqlite holds.")] = False,
    export: Annotated[
        list[str] | None,
        typer.Option("--export", metavar="FILE", help="Write the table: .parquet, .csv, .json; repeatable."),
    ] = None,
    workers: Annotated[
        int | None, count_option("--workers", "Processes here; default one a core.", most=MOST_WORKERS)
    ] = None,
    json: Json = None,
) -> None:
    """Simulate every point of a design space; results go to FILE.sqlite as they end.

    \b
    Example:
      accelsim sweep space.yaml --export points.parquet
      accelsim sweep space.yaml --resume
    """
    require("sweep", "distributed", "yaml", "pydantic", "pyarrow", extra="sweep")
    from accelsim import sweep as sweeps

    check_destination(json)
    for path in export or []:
        check_destination(path, flag="--export")
        sweeps.check_suffix(path)
    if scheduler is not None and workers is not None:
        raise ValueError(f"--workers {workers} are processes here, and --scheduler {scheduler!r} has its own")
    space = sweeps.read_space(file)
    if space.search.kind == "optuna":
        require("a guided sweep", "optuna", extra="sweep")
    database = sweeps.database_of(file)
    if not resume and (held := sweeps.finished(database)):
        raise ValueError(f"{database} holds {held} finished points: go on with --resume, or remove it")
    with _advancing(Path(file).name) as advance:
        visited = sweeps.sweep(space, database, scheduler=scheduler, workers=workers, progress=advance)
    table = sweeps.rows(visited, space.objectives)
    for path in export or []:
        sweeps.export(path, table)
    if not write_json(table, json):
        settings = dict.fromkeys(name for each in visited for name, _ in each.point.settings)
        _print(table, [*WORDS, *settings], space.objectives, database)
    if any(row["status"] == "failed" for row in table):
        raise typer.Exit(FAILED)


@contextmanager
def _advancing(title: str) -> Iterator[Callable[[int, int, float], None]]:
    """A callback of points done, points known and seconds left: a bar on a terminal, else lines."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress, TextColumn

        left = TextColumn("{task.fields[left]}")
        with Progress(*Progress.get_default_columns()[:3], left, console=Console(stderr=True)) as bar:
            task = bar.add_task(title, total=None, left="")
            yield lambda done, known, seconds: bar.update(
                task, completed=done, total=known, left=_left(seconds)
            )
        return
    lines = Lines(title)
    yield lambda done, known, seconds: lines.say(f"{done} of {known} points{_left(seconds)}")


def _left(seconds: float) -> str:
    if math.isnan(seconds):
        return ""
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f", {minutes} min {rest} s left" if minutes else f", {rest} s left"


def _print(table: Sequence[Row], words: Sequence[str], objectives: Mapping[str, str], database: Path) -> None:
    """The Pareto front, each point with all that varies in the space, and how many points gave none."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
    models = list(dict.fromkeys(row["model"] for row in table))
    first = next(iter(objectives))
    best = sorted(
        (row for row in table if row["pareto"]), key=lambda row: (models.index(row["model"]), row[first])
    )
    names = [name for name in words if name in WORDS or len({row[name] for row in table}) > 1]
    shown = Table(*names, *objectives, box=None, pad_edge=False)
    for row in best[:FRONT_SHOWN]:
        shown.add_row(*(_cell(row[name]) for name in names), *(figure(row[name]) for name in objectives))
    goals = ", ".join(f"{name} {goal}" for name, goal in objectives.items())
    console.print(f"{len(table)} points; Pareto front{' of each model' if len(models) > 1 else ''} ({goals})")
    console.print(shown)
    if len(best) > FRONT_SHOWN:
        console.print(f"... and {len(best) - FRONT_SHOWN} more")
    for status in ("refused", "failed"):
        others = [row for row in table if row["status"] == status]
        if others:
            console.print(f"{len(others)} {status}, such as {_words(others[0])}: {others[0]['error']}")
    console.print(f"All of them are in {database}; --resume --export FILE writes them as a table.")


def _words(row: Row) -> str:
    return " ".join(str(row[name]) for name in WORDS)


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
