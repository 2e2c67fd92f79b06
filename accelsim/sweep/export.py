"""What came out of a sweep: a flat table, its Pareto front, and files of it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.csv
import pyarrow.parquet

from accelsim.files import as_json, replaced, write_atomically
from accelsim.report import figures
from accelsim.sweep.figures import FIGURES
from accelsim.sweep.running import Visited
from accelsim.sweep.store import DONE
from accelsim.words import unknown

Row = dict[str, Any]


def rows(visited: Sequence[Visited], objectives: Mapping[str, str]) -> list[Row]:
    """A row for each point: its words, a column for each parameter, its figures.

    `pareto`: whether no other point of its model is better.
    """
    settings = dict.fromkeys(name for each in visited for name, _ in each.point.settings)
    table = []
    for each in visited:
        chosen = dict(each.point.settings)
        words = {"model": each.point.model, "recipe": each.point.recipe, "machine": each.point.machine}
        parameters = {name: _plain(chosen.get(name)) for name in settings}
        table.append({**words, **parameters, **each.row, "status": each.status, "error": each.error or None})
    names = dict.fromkeys(name for row in table for name in row)
    whole: list[Row] = [{name: row.get(name) for name in names} | {"pareto": False} for row in table]
    # Seconds of different models say nothing about each other.
    for model in dict.fromkeys(row["model"] for row in whole):
        of_model = [row for row in whole if row["model"] == model and row["status"] == DONE]
        for row, best in zip(of_model, front(of_model, objectives), strict=True):
            row["pareto"] = best
    return whole


def front(table: Sequence[Mapping[str, Any] | None], objectives: Mapping[str, str]) -> list[bool]:
    """Which rows no other row beats: none is as good in every objective and better in one.

    A row without a figure for an objective is in no front.
    """
    signs = {name: 1.0 if goal == "min" else -1.0 for name, goal in objectives.items()}
    best = figures.front(
        [
            math.nan if row is None or row.get(name) is None else sign * row[name]
            for name, sign in signs.items()
        ]
        for row in table
    )
    kept = set(best)
    return [place in kept for place in range(len(table))]


def export(path: str | os.PathLike[str], table: Sequence[Row]) -> None:
    """Write the rows as the file's suffix says, whole or not at all. Raises ValueError, OSError."""
    check_suffix(path)
    WRITERS[Path(path).suffix](Path(path), list(table))


def check_suffix(path: str | os.PathLike[str]) -> None:
    """Raise ValueError, with the nearest known one, for a suffix that no table is written for."""
    if Path(path).suffix not in WRITERS:
        raise ValueError(unknown(f"the suffix of {str(path)!r}", Path(path).suffix, WRITERS))


def _columns(table: list[Row]) -> pyarrow.Table:
    """Numbers as numbers, words as words; a parameter that is both as words."""
    names = list(table[0]) if table else []
    columns = {}
    for name in names:
        values = [row[name] for row in table]
        kinds = {type(value) for value in values if value is not None}
        if name in FIGURES and kinds <= {int, float}:
            columns[name] = pyarrow.array(values, pyarrow.float64() if float in kinds else pyarrow.int64())
        elif len(kinds) > 1 and not kinds <= {int, float}:
            columns[name] = pyarrow.array([None if value is None else str(value) for value in values])
        else:
            columns[name] = pyarrow.array(values)
    return pyarrow.table(columns)


def _write_parquet(path: Path, table: list[Row]) -> None:
    replaced(path, lambda draft: pyarrow.parquet.write_table(_columns(table), str(draft)))


def _write_csv(path: Path, table: list[Row]) -> None:
    replaced(path, lambda draft: pyarrow.csv.write_csv(_columns(table), str(draft)))


def _write_json(path: Path, table: list[Row]) -> None:
    write_atomically(path, as_json(table))


WRITERS: dict[str, Callable[[Path, list[Row]], None]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".json": _write_json,
}


def _plain(text: str | None) -> Any:
    """A number where the text of a parameter is one."""
    if text is None:
        return None
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        # Words to a table, as they are to JSON and to 64 bits.
        return number if math.isfinite(number) and abs(number) < 2**63 else text
    return {"true": True, "false": False}.get(text, text)
