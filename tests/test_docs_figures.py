"""Tables of the docs hold the figures of `benchmarks/results/`, row by row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
MACHINES = ("sat", "systolic:32", "stc:a100")

pytestmark = pytest.mark.skipif(not RESULTS.exists(), reason="needs the results of a checkout")


def results(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def lines_of(page: str) -> list[str]:
    return (ROOT / "docs" / page).read_text().splitlines()


def interval(figures: list[float], digits: int) -> str:
    return "[{}]".format(", ".join(f"{figure:,.{digits}f}" for figure in figures))


def perplexity(figure: float, spread: list[float]) -> str:
    """Three digits, as the tables have them."""
    digits = 0 if figure >= 100 else 1
    return f"{figure:,.{digits}f} {interval(spread, digits)}"


def measured(accuracy: dict[str, Any]) -> str:
    if accuracy["metric"] == "perplexity":
        return perplexity(accuracy["pruned"], accuracy["interval"])
    return f"{accuracy['pruned']:.3f} {interval(accuracy['interval'], 3)}"


def recipe_lines(part: str) -> list[str]:
    """The table of a model as docs/recipes.md has it."""
    rows = results("recipes")[part]["rows"]
    found = []
    for recipe in dict.fromkeys(row["recipe"] for row in rows):
        of = {row["machine"]: row for row in rows if row["recipe"] == recipe}
        first = of["sat"]
        cells = [
            f"`{recipe}`",
            f"{first['kept']:.3f}",
            measured(first["accuracy"]),
            *(f"{of[machine]['speedup']:.2f}" for machine in MACHINES),
            f"{first['dram_bytes'] / 1e6:.1f}",
        ]
        found.append(f"| {' | '.join(cells)} |")
    return found


@pytest.mark.parametrize("part", ["table-minilm", "table-smollm2", "table-efficientnet", "table-vit"])
def test_every_recipe_on_every_machine_stands_in_its_table(part: str) -> None:
    assert set(recipe_lines(part)) <= set(lines_of("recipes.md"))


def test_every_perplexity_of_smollm2_stands_in_its_table() -> None:
    page = "\n".join(lines_of("recipes.md"))
    for part in ("smollm2", "own-text"):
        for row in results("recipes")[part]["rows"]:
            assert f"| {perplexity(row['perplexity'], row['interval'])} |" in page, row["recipe"]


def test_the_built_machine_and_its_model_stand_in_their_table() -> None:
    cells = [line.split(" | ")[1:] for line in lines_of("rtl_spatten.md")]
    for row in results("spatten_rtl")["rows"]:
        built, model = row["built"], row["model"]
        assert [f"{built:,}", f"{model:,}", f"{model / built:.3f} |"] in cells
