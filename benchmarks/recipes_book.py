"""Rows of the recipes' benchmark, part by part in one file, and its progress."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from experiment import provenance, save, so_far

Row = dict[str, Any]


class Book:
    """Rows of one part, on disk as soon as they are there."""

    def __init__(self, path: Path, part: str, date: str) -> None:
        self.path, self.part, self.date = path, part, date

    @property
    def rows(self) -> list[Row]:
        return so_far(self.path).get(self.part, {}).get("rows", [])

    def of(self, part: str) -> Book:
        """Another part of the same file."""
        return Book(self.path, part, self.date)

    def has(self, **keys: Any) -> bool:
        return any(all(row.get(name) == value for name, value in keys.items()) for row in self.rows)

    def add(self, row: Row, **facts: Any) -> None:
        """Write the row, and what holds of all rows."""
        found = so_far(self.path)
        found[self.part] = {
            "command": f"python benchmarks/recipes.py {self.part}",
            **provenance(self.date, "numpy", "torch", "transformers"),
            **facts,
            "rows": [*self.rows, row],
        }
        save(self.path, found)


def told(what: str, done: int, total: int) -> None:
    """Progress, on a terminal alone."""
    if sys.stderr.isatty():
        print(f"\r{what}: {done} of {total}   ", end="", file=sys.stderr, flush=True)
