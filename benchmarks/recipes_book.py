"""Rows of the recipes' benchmark, part by part in one file, and its progress."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from provenance import provenance

Row = dict[str, Any]


class Book:
    """Rows of one part, on disk as soon as they are there."""

    def __init__(self, path: Path, part: str, date: str | None) -> None:
        self.path, self.part, self.date = path, part, date

    @property
    def rows(self) -> list[Row]:
        return self._all().get(self.part, {}).get("rows", [])

    def of(self, part: str) -> Book:
        """Another part of the same file."""
        return Book(self.path, part, self.date)

    def has(self, **keys: Any) -> bool:
        return any(all(row.get(name) == value for name, value in keys.items()) for row in self.rows)

    def add(self, row: Row, **facts: Any) -> None:
        """Write the row, and what holds of all rows."""
        found = self._all()
        found[self.part] = {
            "command": f"python benchmarks/recipes.py {self.part}",
            **provenance(self.date, "numpy", "torch", "transformers"),
            **facts,
            "rows": [*self.rows, row],
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".draft")
        draft.write_text(json.dumps(found, indent=1) + "\n")
        draft.replace(self.path)

    def _all(self) -> dict[str, Any]:
        return json.loads(self.path.read_text()) if self.path.is_file() else {}


def told(what: str, done: int, total: int) -> None:
    """Progress, on a terminal alone."""
    if sys.stderr.isatty():
        print(f"\r{what}: {done} of {total}   ", end="", file=sys.stderr, flush=True)
