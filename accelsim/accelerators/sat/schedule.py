"""The offline scheduler's result: a configuration word a product, as a file that can be read and re-run.

    {"kind": "sat schedule", "version": 1, "rows": 32, "cols": 32,
     "layers": {"features.1.ff": {"dense": "0x...", "2:8": "0x..."}, "features.2.ff": "os"}}

A layer has words by pattern, or one of `os` and `ws` that pins the dataflow and leaves the rest open.
Layers that are not named are scheduled as without a file; a name that the model lacks is refused. A word has
64 bits, from the lowest: dataflow (0 output, 1 weight stationary), N - 1 and M - 1 of the array (8 each; 0
and 0 under an N:M pattern: expanded), rows of a block in rows of the array (21), steps of a block (26).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol

from accelsim.accelerators.products import Pattern
from accelsim.files import write_atomically

KIND, VERSION = "sat schedule", 1
FLOWS = ("os", "ws")
FIELDS = {"flow": 1, "kept": 8, "group": 8, "rows": 21, "steps": 26}
MOST_BYTES = 1 << 24


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How one product runs. Blocks of `rows` rows and `steps` steps along k; 0: all of them.

    `expanded`: N:M weights enter the array with their zeros. A pinned dataflow alone `is_open` for the rest.
    """

    flow: str
    rows: int = 0
    steps: int = 0
    expanded: bool = False
    is_open: bool = False

    def word(self, pattern: Pattern, array_rows: int) -> str:
        """The configuration word in hexadecimal. ValueError for a block that no word can say."""
        dense = pattern.is_dense or self.expanded
        kept, group = (1, 1) if dense else (pattern.kept, pattern.group)
        values = {
            "flow": FLOWS.index(self.flow),
            "kept": kept - 1,
            "group": group - 1,
            "rows": -(-self.rows // array_rows),
            "steps": self.steps,
        }
        word, place = 0, 0
        for name, bits in FIELDS.items():
            if values[name] >> bits:
                raise ValueError(f"{name} of a configuration word must fit {bits} bits, not {values[name]}")
            word |= values[name] << place
            place += bits
        return f"{word:#018x}"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Choices by layer, then by pattern; "" stands for every pattern."""

    path: str
    choices: Mapping[str, Mapping[str, Choice]] = field(default_factory=dict)

    def find(self, layer: str, pattern: Pattern) -> Choice | None:
        """What the file says of a product, or None."""
        known = self.choices.get(layer, {})
        return known.get(str(pattern), known.get(""))

    def require_layers(self, names: Collection[str]) -> None:
        """ValueError for a layer of the file that is none of these: what is pinned by mistake is not open."""
        for name in self.choices:
            if name not in names:
                near = get_close_matches(name, names, 1)
                instead = f"; {near[0]!r} is" if near else ""
                raise ValueError(
                    f"schedule {self.path}: layer {name!r} must be a matrix product of the model{instead}"
                )


class Rows(Protocol):
    """A report, as far as its words go."""

    @property
    def layers(self) -> Sequence[Any]:
        """Its rows, with their names and facts."""


class Shape(Protocol):
    """An array of processing elements."""

    @property
    def rows(self) -> int:
        """Rows."""

    @property
    def cols(self) -> int:
        """Columns."""


def save(path: str | os.PathLike[str], array: Shape, reports: Sequence[Rows]) -> None:
    """Write the words of all layers that have one; its patterns are joined. Whole or not at all."""
    layers: dict[str, dict[str, str]] = {}
    for report in reports:
        for row in report.layers:
            if row.facts.get("word"):
                layers.setdefault(row.name, {})[str(row.facts["pattern"])] = str(row.facts["word"])
    content = {"kind": KIND, "version": VERSION, "rows": array.rows, "cols": array.cols, "layers": layers}
    write_atomically(path, json.dumps(content, indent=1) + "\n")


def load(path: str, rows: int, cols: int) -> Schedule:
    """Read a schedule for an array of rows x cols. ValueError, with file and place, for anything else."""
    try:
        if Path(path).stat().st_size > MOST_BYTES:
            raise ValueError(f"must have at most {MOST_BYTES} bytes")
        content = json.loads(Path(path).read_text())
    except OSError as error:
        raise ValueError(
            f"schedule must be a file that can be read, not {path!r}: {error.strerror}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"schedule {path}: must be JSON: {str(error).splitlines()[0]}") from None
    try:
        return Schedule(path=path, choices=_choices(content, rows, cols))
    except ValueError as error:
        raise ValueError(f"schedule {path}: {error}") from None


def _choices(content: object, rows: int, cols: int) -> dict[str, dict[str, Choice]]:
    if not isinstance(content, dict) or content.get("kind") != KIND or content.get("version") != VERSION:
        raise ValueError(f"must be an object of kind {KIND!r}, version {VERSION}")
    if [content.get("rows"), content.get("cols")] != [rows, cols]:
        made = f"{content.get('rows')!r} x {content.get('cols')!r}"
        raise ValueError(f"must be for an array of {rows} x {cols}, not {made}")
    if not isinstance(content.get("layers"), dict) or content.keys() - {
        "kind",
        "version",
        "rows",
        "cols",
        "layers",
    }:
        raise ValueError("must have rows, cols and an object of layers, and nothing else")
    return {name: _layer(name, entry, rows) for name, entry in content["layers"].items()}


def _layer(name: str, entry: object, rows: int) -> dict[str, Choice]:
    if isinstance(entry, str):
        return {"": _pinned(name, entry, rows)}
    if not isinstance(entry, dict) or not all(isinstance(word, str) for word in entry.values()):
        raise ValueError(f"layer {name!r} must have os, ws or words by pattern, not {entry!r:.60}")
    found = {}
    for pattern, word in entry.items():
        if not re.fullmatch(r"dense|\d{1,3}:\d{1,3}", pattern, re.ASCII):
            raise ValueError(f"layer {name!r}: pattern must be dense or N:M, not {pattern!r}")
        found[pattern] = _pinned(name, word, rows, pattern)
    return found


def _pinned(name: str, word: str, rows: int, pattern: str = "") -> Choice:
    if word in FLOWS:
        return Choice(flow=word, is_open=True)
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,16}", word):
        raise ValueError(f"layer {name!r}: word must be os, ws or 64 bits in hexadecimal, not {word!r:.60}")
    left, values = int(word, 16), {}
    for part, bits in FIELDS.items():
        values[part] = left & ((1 << bits) - 1)
        left >>= bits
    kept, group = values["kept"] + 1, values["group"] + 1
    said = "dense" if kept == group else f"{kept}:{group}"
    if kept > group or said not in (pattern, "dense" if pattern else ""):
        raise ValueError(
            f"layer {name!r}: word {word} is one for {kept}:{group}, not for {pattern or 'any pattern'}"
        )
    return Choice(
        flow=FLOWS[values["flow"]],
        rows=values["rows"] * rows,
        steps=values["steps"],
        expanded=said != pattern,
    )
