"""What `benchmarks/recipes.py` makes of rows that are there: it measures none of them twice."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"
MODULES = (
    "recipes",
    "recipes_book",
    "recipes_dsnot",
    "recipes_smollm2",
    "recipes_table",
    "experiment",
)
pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(not BENCHMARKS.exists(), reason="needs the benchmarks of a checkout"),
]


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("recipes")
    for name in MODULES:
        sys.modules.pop(name, None)


def choice(machine: str, name: str, cycles: int, distorted: float) -> dict[str, Any]:
    return {
        "machine": machine,
        "allocation": name,
        "cycles": cycles,
        "dense_cycles": 1000,
        "distortion_on_others": distorted,
    }


def test_cycles_saved_are_read_between_the_choices_of_the_simulator(recipes: Any) -> None:
    rows = [
        choice("sat", "uniform 4:8", 800, 0.2),
        choice("sat", "as 4:8", 700, 0.3),
        choice("sat", "uniform 2:8", 500, 0.9),
        choice("sat", "uniform 6:8", 700, 0.3),
    ]
    # From the dense 1,000 at 0 to 700 at 0.3: 800 at 0.2. No choice distorts as much as 2:8 does.
    assert recipes.saved(rows) == [
        ("uniform 4:8", 0.2, pytest.approx(0.0)),
        ("uniform 6:8", 0.3, pytest.approx(0.0)),
    ]
    rows[1]["cycles"] = 400
    assert recipes.saved(rows)[0] == ("uniform 4:8", 0.2, pytest.approx(600 / 800 - 1))


def test_allocations_that_are_there_are_neither_measured_nor_written_again(
    recipes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(name: str) -> None:
        raise AssertionError(f"{name} is measured again")

    monkeypatch.setattr(recipes, "Bench", measured)
    path = tmp_path / "recipes.json"
    rows = [
        choice(machine, f"{kind} {amount}", 500, 0.5)
        for machine in recipes.MACHINES
        for amount in recipes.AMOUNTS[:-1]
        for kind in ("uniform", "as")
    ]
    path.write_text(json.dumps({"allocation-minilm": {"rows": rows}}))
    before = path.read_bytes()
    recipes.allocation(recipes.Book(path, "allocation-minilm", "2026-01-01"), "minilm")
    assert path.read_bytes() == before
    assert "sat, distortion 0.50 of uniform 2:8: +0.0% cycles by the simulator" in capsys.readouterr().out
    assert (tmp_path / "recipes_minilm.png").is_file()
    path.write_text(json.dumps({"allocation-minilm": {"rows": rows[1:]}}))
    with pytest.raises(AssertionError, match="measured again"):
        recipes.allocation(recipes.Book(path, "allocation-minilm", "2026-01-01"), "minilm")


def test_a_front_holds_what_no_other_recipe_beats_in_both(recipes: Any) -> None:
    front = sys.modules["recipes_table"].front
    points = [(1.0, 30.0), (2.0, 40.0), (1.5, 50.0), (2.0, 60.0)]
    assert front(points) == [(2.0, 60.0)]
    assert front(points, less=True) == [(2.0, 40.0), (1.0, 30.0)]


def test_rows_of_a_table_that_are_there_need_no_model(recipes: Any, tmp_path: Path) -> None:
    table = sys.modules["recipes_table"]
    path = tmp_path / "recipes.json"
    judged = {"metric": "perplexity", "dense": 30.0, "pruned": 90.0}
    rows = [
        {
            "recipe": "wanda,2:4",
            "machine": machine,
            "model": "smollm2",
            "kept": 0.5,
            "cycles": 50,
            "dense_cycles": 100,
            "speedup": 2.0,
            "accuracy": judged,
        }
        for machine in table.MACHINES
    ]
    path.write_text(json.dumps({"table-smollm2": {"rows": rows}}))

    def made() -> Any:
        raise AssertionError("the model is loaded")

    table.table(recipes.Book(path, "table-smollm2", "2026-01-01"), ["wanda,2:4"], made)
    assert (tmp_path / "recipes_table.png").is_file()
    with pytest.raises(AssertionError, match="loaded"):
        table.table(recipes.Book(path, "table-smollm2", "2026-01-01"), ["wanda,2:4", "gblm,2:4"], made)


def test_recipes_are_ranked_on_the_same_windows(recipes: Any) -> None:
    rows = [
        {"recipe": "", "losses": [1.0, 3.0]},
        {"recipe": "wanda,2:4", "losses": [2.0, 4.0]},
        {"recipe": "sparsegpt,2:4", "losses": [1.5, 3.5]},
        {"recipe": "wanda,0.5", "losses": [1.2, 3.2]},
    ]
    ratio = pytest.approx(2.718281828**0.5)
    # Windows differ much more than recipes do: paired, the interval has no width.
    assert sys.modules["recipes_smollm2"].ranked(rows) == [
        ("sparsegpt,2:4", "wanda,2:4", ratio, ratio, ratio)
    ]
