"""Techniques one by one: the steps, what they multiply to, and what cannot be taken apart."""

from __future__ import annotations

import json
from dataclasses import replace
from math import prod
from pathlib import Path

import pytest

from accelsim.ablation import dense_machine, techniques
from accelsim.accelerators import SpAtten, find
from accelsim.cli import main
from accelsim.models import network
from accelsim.prune import Spatten, parse
from accelsim.run import run
from accelsim.units.topk import TopK
from accelsim.workload import Attention

pytestmark = pytest.mark.slow  # without compilation

RECIPE = "spatten,tokens=0.5,heads=0.7,values=0.4,channels=0.5,bits=6+4"


def steps_of(recipe: str, machine: SpAtten | None = None) -> list[str]:
    """Names of the techniques."""
    words = parse(recipe)
    assert isinstance(words, Spatten)
    return [technique.name for technique in techniques(words, machine or SpAtten())]


def test_each_technique_comes_on_top_of_those_before_it() -> None:
    words = parse(RECIPE)
    assert isinstance(words, Spatten)
    machine = SpAtten()
    made = techniques(words, machine)
    names = ["tokens", "heads", "values", "channels", "static bits", "progressive bits"]
    assert [each.name for each in made] == ["dense", "datapath", *names, "top-k engine", "top-k width"]
    assert made[2].recipe == Spatten(tokens=0.5)
    assert made[4].recipe == Spatten(tokens=0.5, heads=0.7, values=0.4)
    assert made[6].recipe == replace(words, bits=(10, 0))
    assert (made[-1].recipe, made[-1].machine) == (words, machine)
    assert made[-2].machine == replace(machine, topk=TopK(width=1))


def test_what_a_recipe_or_a_machine_lacks_is_no_step() -> None:
    assert steps_of("spatten,bits=8") == ["dense", "datapath", "static bits"]
    plain = SpAtten(topk=TopK(pivot="uniform", width=1))
    assert steps_of("spatten,values=0.5", plain) == ["dense", "datapath", "values"]
    assert steps_of("spatten,values=0.5", SpAtten(topk=TopK(pivot="uniform")))[-1:] == ["top-k width"]
    assert steps_of("spatten,values=0.5", SpAtten(topk=TopK(engine="radix")))[-2:] == [
        "top-k engine",
        "top-k width",
    ]


@pytest.mark.parametrize("multipliers", [32, 64, 512])
def test_the_dense_machine_has_as_many_multipliers_and_the_same_memory(multipliers: int) -> None:
    machine = SpAtten(multipliers=multipliers)
    dense = dense_machine(machine)
    assert dense.rows * dense.cols == 2 * multipliers
    assert (dense.dram, dense.clock_hz) == (machine.dram, machine.clock_hz)


def test_the_steps_multiply_to_the_total_and_end_at_the_report(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    options = f"--prune {RECIPE} --on spatten:eighth --tokens 24 --generate 3 --seed 5 --json {file}"
    assert main(["run", "gpt2-small", "--ablate", *options.split()]) == 0
    report = json.loads(file.read_text())
    steps = report["ablation"]
    assert prod(step["step_speedup"] for step in steps) == pytest.approx(steps[-1]["speedup"], rel=1e-12)
    first, last = steps[0], steps[-1]
    assert last["speedup"] == first["seconds"] / last["seconds"]
    assert prod(step["step_dram_reduction"] for step in steps) == pytest.approx(
        first["bytes"] / last["bytes"]
    )
    moved = report["dram"]["read_bytes"] + report["dram"]["write_bytes"]
    assert (last["cycles"], last["bytes"], last["energy_pj"]) == (
        report["cycles"],
        moved,
        report["energy_pj"]["total"],
    )
    datapath = next(step for step in steps if step["name"] == "datapath")
    assert datapath["cycles"] == report["baseline"]["cycles"]
    assert all(step["accuracy"] is None for step in steps)
    # A step is the run of its own recipe.
    made = network("gpt2-small", "spatten,tokens=0.5", tokens=24, generate=3, seed=5)
    only = replace(made, layers=tuple(layer for layer in made.layers if isinstance(layer, Attention)))
    machine = techniques(parse(RECIPE), find("spatten:eighth")[2])[2].machine  # type: ignore[arg-type]
    alone = run(only, machine, baseline=False)
    assert next(step for step in steps if step["name"] == "tokens")["cycles"] == alone.cycles


def test_without_the_option_there_is_no_ablation(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    assert main(["run", "gpt2-small", "--on", "spatten", "--tokens", "4", "--json", str(file)]) == 0
    assert "ablation" not in json.loads(file.read_text())


def test_the_prompt_can_be_left_out(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    options = f"--on spatten --tokens 9 --generate 2 --skip-prompt --json {file}"
    assert main(["run", "gpt2-small", *options.split()]) == 0
    passes = {layer["name"].split("/")[0] for layer in json.loads(file.read_text())["layers"]}
    assert passes == {"step 1", "step 2"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("gpt2-small --on sat --prune spatten,tokens=0.5 --ablate", "the machine is sat"),
        ("gpt2-small --on spatten --ablate", "--ablate needs a recipe"),
        ("gpt2-small --on spatten --prune magnitude,2:4 --ablate", "--ablate needs a recipe"),
        ("some.npz --on spatten --ablate", "not the workload file 'some.npz'"),
        ("gpt2-small --on spatten --skip-prompt", "--skip-prompt belongs to --generate"),
    ],
)
def test_a_mistake_is_one_line(capsys: pytest.CaptureFixture[str], arguments: str, expected: str) -> None:
    assert main(["run", *arguments.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err
    assert err.count("\n") == 1
