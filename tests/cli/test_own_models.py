"""A model of the user's own code on the command line."""

import json
from pathlib import Path

import pytest
from command_line import as_json, mistake, printed

from accelsim.cli import main

FACTORY = """
import sys

import torch

def prints():
    print("a word of the model's own")
    return torch.nn.Linear(8, 8)

def exits():
    sys.exit(3)

def net():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 16))
    return module, torch.ones(4, 64)

def pruned():
    module, inputs = net()
    for layer in (module[0], module[2]):
        groups = layer.weight.data.view(layer.out_features, -1, 4)
        smallest = groups.abs().argsort(dim=2, stable=True)[:, :, :2]
        groups.scatter_(2, smallest, 0.0)
    return module, inputs
"""


@pytest.mark.torch
def test_what_a_models_own_code_prints_is_not_on_stdout(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(FACTORY)
    assert main(["run", f"{tmp_path}/own.py:prints", "--on", "sat:tiny", "--json", "-"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["cycles"] > 0
    assert "a word of the model's own" in err


@pytest.mark.torch
def test_a_model_that_exits_is_a_mistake(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(FACTORY)
    model = f"{tmp_path}/own.py:exits"
    assert "must return, not exit with status 3" in mistake(capsys, "run", model, "--on", "sat:tiny")


@pytest.mark.torch
def test_a_model_runs_the_same_in_one_step_in_two_and_already_pruned(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(FACTORY)
    model, out = f"{tmp_path}/own.py:net", str(tmp_path / "net.npz")
    once = as_json(capsys, "run", model, "--prune", "magnitude,2:4", "--on", "sat:tiny")
    assert once["speedup"] > 1
    assert len(once["layers"]) == 2
    assert "2 layers" in printed(capsys, "trace", model, "--prune", "magnitude,2:4", "-o", out)
    assert as_json(capsys, "run", out, "--on", "sat:tiny") == once
    before = as_json(capsys, "run", f"{tmp_path}/own.py:pruned", "--on", "sat:tiny")
    assert before.pop("model") != once.pop("model")
    assert before["baseline"].pop("model") != once["baseline"].pop("model")
    assert before == once
