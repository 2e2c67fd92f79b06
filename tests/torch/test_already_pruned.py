"""A model that comes with zeros in place gives the report of the recipe that would have put them there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accelsim.cli import main

pytestmark = pytest.mark.torch

# Prunes with torch alone, so that no code of the package decides which weights stay.
FACTORY = """
from pathlib import Path
import importlib.util
import torch
from transformers import AutoModel

def factory():
    from accelsim.models.registry import folder_of
    model = AutoModel.from_pretrained(folder_of("minilm"), local_files_only=True)
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            weight = module.weight.data
            groups = weight.abs().reshape(weight.shape[0], -1, {m})
            best = groups.argsort(dim=-1, descending=True, stable=True)[..., :{n}]
            kept = torch.zeros_like(groups, dtype=torch.bool).scatter(-1, best, True)
            weight[~kept.reshape(weight.shape)] = 0
    return model
"""


@pytest.mark.parametrize(("pattern", "machine"), [("2:4", "stc"), ("2:8", "sat"), ("1:4", "systolic")])
def test_zeros_in_place_give_the_json_of_the_recipe(pattern: str, machine: str, tmp_path: Path) -> None:
    n, m = pattern.split(":")
    source = tmp_path / "pruned.py"
    source.write_text(FACTORY.replace("{n}", n).replace("{m}", m))
    reports = []
    for index, model in enumerate((["minilm", "--prune", f"magnitude,{pattern}"], [f"{source}:factory"])):
        file = tmp_path / f"{index}.json"
        assert main(["run", *model, "--on", machine, "--tokens", "32", "--json", str(file)]) == 0
        reports.append(json.loads(file.read_text()))
    for report in reports:
        assert report.pop("model") == report["baseline"].pop("model")
    assert reports[0] == reports[1]
    # Seconds are more on a GPU, whose 2:4 kernels take longer to start than so small a model gains.
    assert reports[0]["cycles"] < reports[0]["baseline"]["cycles"]
    assert machine == "stc" or reports[0]["speedup"] > 1
    assert reports[0]["macs"]["done"] < reports[0]["macs"]["dense"]
