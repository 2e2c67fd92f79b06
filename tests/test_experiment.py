"""What the benchmarks share, `benchmarks/experiment.py`: their options and their files of results."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
pytestmark = pytest.mark.skipif(not BENCHMARKS.exists(), reason="needs the benchmarks of a checkout")


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("experiment")
    sys.modules.pop("experiment", None)


@pytest.fixture
def parser(experiment: Any) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = experiment.options("/somewhere/soap.py", "Bubbles.")
    made.add_argument("parts", metavar="PART", **experiment.some_of(["one", "two"]))
    return made


def test_results_lie_beside_a_benchmark_under_its_name(parser: argparse.ArgumentParser) -> None:
    given = parser.parse_args(["--date", "2026-01-02", "two"])
    assert (given.output, given.date) == (Path("/somewhere/results/soap.json"), "2026-01-02")
    assert given.parts == ["two"]
    assert parser.parse_args([]).parts == ["one", "two"]


def test_a_part_that_is_not_there_is_refused_by_its_name(
    parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser.parse_args(["one", "three"])
    assert "argument PART: must be one of one, two, not 'three'" in capsys.readouterr().err


def test_results_are_read_as_they_were_saved(experiment: Any, tmp_path: Path) -> None:
    output = tmp_path / "new" / "soap.json"
    assert experiment.so_far(output) == {}
    results = experiment.provenance("2026-01-02", "numpy") | {"rows": [{"bubbles": 3}]}
    experiment.save(output, results)
    assert experiment.so_far(output) == results
    # A figure that JSON does not know: nothing is written, and the file before stays.
    with pytest.raises(ValueError, match="not JSON compliant"):
        experiment.save(output, {"rows": float("nan")})
    assert experiment.so_far(output) == results


def test_results_name_their_command_and_are_written_where_was_asked(
    experiment: Any, parser: argparse.ArgumentParser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = parser.parse_args(["--date", "2026-01-02", "-o", str(tmp_path / "soap.json")])
    experiment.finish(given, "numpy", rows=[1, 2])
    found = json.loads(given.output.read_text())
    assert list(found) == ["command", "date", "machine", "versions", "rows"]
    assert (found["command"], found["date"], found["rows"]) == (
        "python benchmarks/soap.py",
        "2026-01-02",
        [1, 2],
    )
    assert list(found["versions"]) == ["accelsim", "numpy"]
    assert capsys.readouterr().out == f"written: {given.output}\n"


@pytest.mark.parametrize("path", sorted((BENCHMARKS / "results").glob("*.json")), ids=lambda path: path.stem)
def test_every_file_of_results_has_the_form_in_which_save_writes_it(experiment: Any, path: Path) -> None:
    text = path.read_text()
    assert experiment.as_json(json.loads(text)) == text
