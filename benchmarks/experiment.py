"""What the benchmarks share: options of the command line, and the file of results with its provenance."""

from __future__ import annotations

import argparse
import datetime
import json
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import accelsim
from accelsim.files import as_json, write_atomically


@dataclass(frozen=True, kw_only=True)
class Row:
    """One published figure beside ours."""

    source: str
    quantity: str
    work: str
    claim: float
    ours: float
    ratio: float
    why_different: str


def options(file: str, description: str | None) -> argparse.ArgumentParser:
    """`--date` and `--output` of a benchmark: without them today, and `results/` with the file's own name."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--date", default=datetime.date.today().isoformat(), help="written into the results; else today"
    )
    parser.set_defaults(command=f"python benchmarks/{Path(file).name}")
    results = Path(file).parent / "results" / f"{Path(file).stem}.json"
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", default=results)
    return parser


def some_of(words: Iterable[str]) -> dict[str, Any]:
    """Settings of an argument that takes any of these words; without one, all of them."""
    known = list(words)

    def checked(word: str) -> str:
        if word not in known:
            raise argparse.ArgumentTypeError(f"must be one of {', '.join(known)}, not {word!r}")
        return word

    return {"nargs": "*", "type": checked, "default": known, "help": f"of {', '.join(known)}"}


def provenance(date: str, *packages: str) -> dict[str, Any]:
    """Date, system and versions, alike in every file: of accelsim, and of `packages` by their name."""
    return {
        "date": date,
        "machine": {"system": platform.system(), "python": platform.python_version()},
        "versions": {"accelsim": accelsim.__version__} | {name: version(name) for name in packages},
    }


def processor() -> str:
    """The processor's name and the number of its threads, as far as the system tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.machine()


def so_far(output: Path) -> dict[str, Any]:
    """What a file of results holds so far; empty before the first."""
    return json.loads(output.read_text()) if output.is_file() else {}


def save(output: Path, results: dict[str, Any]) -> None:
    """Write the results, whole or not at all: a run that is cut short leaves those before."""
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, as_json(results))


def finish(given: argparse.Namespace, *packages: str, **results: Any) -> None:
    """Write what a benchmark of `options` without further words found, with its command, and say where."""
    save(given.output, {"command": given.command, **provenance(given.date, *packages), **results})
    print(f"written: {given.output}")
