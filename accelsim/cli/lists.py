"""`models`, `accelerators`, `recipes`: what there is, one line each, the name first."""

from __future__ import annotations

from collections.abc import Mapping

import typer

from accelsim.accelerators import ACCELERATORS


def add_commands(app: typer.Typer) -> None:
    """Put the commands of this file on the command line."""
    app.command("models")(models)
    app.command("accelerators")(accelerators)
    app.command("recipes")(recipes)


def models() -> None:
    """List the models that can be run by name.

    \b
    Example:
      accelsim models
    """
    from accelsim.models import known

    _print(known())


def accelerators() -> None:
    """List the machines and their presets, the default first.

    \b
    Example:
      accelsim accelerators
    """
    _print({name: f"{kind.sentence} [{', '.join(kind.presets)}]" for name, kind in ACCELERATORS.items()})


def recipes() -> None:
    """List the words of pruning recipes.

    \b
    Example:
      accelsim recipes
    """
    from accelsim.prune import known

    _print(known())


def _print(lines: Mapping[str, str]) -> None:
    width = max(map(len, lines), default=0)
    for name, sentence in lines.items():
        typer.echo(f"{name:<{width}}  {sentence}")
