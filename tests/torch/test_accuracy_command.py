"""`run --evaluate`: accuracy beside the cycles, and what cannot be measured refused before the work."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from accelsim.cli import main

pytestmark = pytest.mark.torch

FACTORY = """
import torch
from torch import nn

def pictures():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.Flatten(), nn.Linear(8 * 49, 5))
    return module, torch.zeros(1, 3, 16, 16)

def clothes():
    module = nn.Sequential(nn.Linear(784, 10))
    module.dataset = "fashion-mnist"
    return module, torch.zeros(1, 784)
"""


@pytest.fixture
def factory(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(FACTORY)
    return str(tmp_path / "mine.py")


def mistake(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_accuracy_is_printed_and_in_the_json(
    factory: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = {"a": np.random.default_rng(0).integers(256, size=(40, 60, 3), dtype=np.uint8)}
    monkeypatch.setattr("accelsim.accuracy.agreement.sample_pictures", lambda: made)
    words = ["run", f"{factory}:pictures", "--prune", "magnitude,1:8", "--on", "systolic:32", "--evaluate"]
    assert main([*words, "--samples", "12", "--json", "-"]) == 0
    text = capsys.readouterr().out
    found = json.loads(text)["accuracy"]
    assert found.keys() == {"metric", "dense", "pruned", "samples", "refitted", "spread", "others"}
    assert found["spread"].keys() == {"method", "dense", "pruned", "difference"}
    assert found["dense"] == 1
    assert found["samples"] == found["others"][0]["samples"] == 12
    assert main([*words, "--samples", "12", "--json", "-"]) == 0
    assert capsys.readouterr().out == text
    assert main([*words, "--samples", "12"]) == 0
    assert "agreement with the dense model, no accuracy: " in capsys.readouterr().out


def test_samples_without_evaluate_is_a_mistake(factory: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("run", f"{factory}:pictures", "--on", "sat", "--samples", "12")
    assert mistake(capsys, *words).startswith("accelsim: --samples belongs to --evaluate")


def test_without_a_network_one_line_comes_before_any_simulation(
    factory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("accelsim.datasets.fashion.INSTALLED", tmp_path)
    monkeypatch.setattr("accelsim.cli.models.run", None)
    said = mistake(capsys, "run", f"{factory}:clothes", "--on", "sat", "--evaluate")
    assert "Fashion-MNIST needs apt-get" in said
    assert "there is no apt-get here" in said
