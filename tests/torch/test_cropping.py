"""Networks of another form from their first step on: narrower, or without blocks; saved and loaded so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from accelsim.cli import main  # noqa: E402
from accelsim.models import load  # noqa: E402
from accelsim.models.resnet9 import ResNet9, Widths  # noqa: E402
from accelsim.models.trained import made  # noqa: E402
from accelsim.prune import Depth, Precrop, parse, pruned  # noqa: E402
from accelsim.training import loop  # noqa: E402
from accelsim.training.cropping import cropped, even, synflow  # noqa: E402

pytestmark = pytest.mark.torch


def network() -> ResNet9:
    torch.manual_seed(0)
    return ResNet9(width=4)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("by", ["synflow", "even", "uniform"])
@pytest.mark.parametrize("keep", [0.6, 0.2])
def test_narrower_networks_have_the_parameters_that_are_asked_for(by: str, keep: float) -> None:
    module = network()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    widths = cropped(module, Precrop(keep=keep, by=by))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(1 <= now <= was for now, was in zip(widths, module.widths, strict=True))
    narrow = ResNet9(widths=widths)
    assert 0.7 * keep < count(narrow) / count(module) <= keep
    assert narrow(torch.randn(2, 1, 28, 28)).shape == (2, 10)
    # No width can be one wider without going beyond what is asked for, all others alike.
    if by == "uniform":
        shares = [now / was for now, was in zip(widths, module.widths, strict=True)]
        assert max(shares) - min(shares) < 0.3


# With few weights left one round keeps others than four do, or twenty.
@pytest.mark.parametrize(("keep", "rounds"), [(0.3, 4), (0.03, 1), (0.03, 4), (0.03, 20)])
def test_synflow_is_the_plain_loop_over_a_chain_of_two_layers(keep: float, rounds: int) -> None:
    torch.manual_seed(1)
    first, last = nn.Linear(784, 5, bias=False), nn.Linear(5, 3, bias=False)
    module = nn.Sequential(nn.Flatten(), first, nn.ReLU(), last)
    found = synflow(module, keep, rounds=rounds)
    a, b = (module[index].weight.detach().double().abs().numpy() for index in (1, 3))
    for number in range(1, rounds + 1):
        # R = sum of b (a 1): by hand, dR/db = a's row sums, dR/da = b's column sums.
        scores = a * b.sum(axis=0)[:, None], b * a.sum(axis=1)[None, :]
        left = max(1, int((a.size + b.size) * keep ** (number / rounds) + 1e-9))
        least = np.sort(np.concatenate([each.ravel() for each in scores]))[-left]
        a, b = a * (scores[0] >= least), b * (scores[1] >= least)
    assert found["1"] == pytest.approx((a > 0).mean())
    assert found["3"] == pytest.approx((b > 0).mean())
    assert (a > 0).sum() + (b > 0).sum() == int(keep * (a.size + b.size))


def test_even_densities_are_as_many_weights_of_every_layer_that_has_them() -> None:
    found = even({"a": 10, "b": 100, "c": 1000}, 0.2)
    assert found["a"] == 1
    assert found["b"] == 1
    assert found["c"] * 1000 == pytest.approx(222 - 110, rel=1e-6)
    assert even({"a": 50, "b": 50}, 0.5)["b"] == pytest.approx(0.5)


def test_a_small_early_layer_keeps_more_than_a_large_late_one() -> None:
    densities = synflow(network(), 0.1, rounds=20)
    assert densities["stem.0"] > 2 * densities["second_pair.0.0"]


@pytest.mark.parametrize(
    ("recipe", "network", "key"),
    [("precrop,0.3,by=even", "resnet9", "widths"), ("depth,0.5,by=grasp", "vit", "without")],
)
def test_the_command_trains_another_form_and_loads_it_again(
    recipe: str, network: str, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "t"
    sizes = ["--epochs", "1", "--samples", "32", "--batch", "16"]
    assert main(["train", network, "--prune", recipe, *sizes, "-o", str(out), "--json", "-"]) == 0
    summary = json.loads(capsys.readouterr().out)
    settings = json.loads((out / "seed-0" / "config.json").read_text())
    assert len(settings[key]) == (6 if key == "widths" else 2)
    module = load(str(out / "seed-0")).module
    assert count(module) == summary["parameters"] < count(made(network, {}))
    again = loop.start(
        loop.Settings(network=network, recipe=parse(recipe), epochs=1, samples=32, batch=16)  # type: ignore[arg-type]
    )
    assert again.form == {key: settings[key]}


def test_blocks_that_left_were_drawn_with_the_others_and_those_that_stay_are_the_dense_ones() -> None:
    kind = {"epochs": 1, "samples": 32, "batch": 16, "network": "vit"}
    dense, short = (
        loop.start(loop.Settings(recipe=recipe, **kind)).module.state_dict()  # type: ignore[arg-type]
        for recipe in (None, Depth(keep=0.5, by="random"))
    )
    assert len(short) < len(dense)
    assert all(torch.equal(value, dense[name]) for name, value in short.items())


@pytest.mark.parametrize(
    "form",
    [
        {"widths": [1, 2, 3]},
        {"widths": [0] * 6},
        {"widths": [10**9] * 6},
        {"widths": ["a"] * 6},
        {"without": ["nosuch.1"]},
        {"without": [""]},
    ],
)
def test_a_form_that_resnet9_cannot_have_is_refused(form: dict[str, object]) -> None:
    with pytest.raises(
        ValueError, match=r"^(widths must be 6 whole numbers|without must name blocks of resnet9)"
    ):
        made("resnet9", form)
    assert made("resnet9", {"widths": list(Widths(2, 3, 4, 5, 6, 7))}).widths == (2, 3, 4, 5, 6, 7)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("precrop", "must say precrop,FRACTION"),
        ("precrop,2:4", "precrop must be a number"),
        ("precrop,0.5,by=evn", "did you mean 'even'"),
        ("precrop,0.5,seed=1", "word must be one of by"),
    ],
)
def test_what_precrop_does_not_understand_is_refused(recipe: str, said: str) -> None:
    with pytest.raises(ValueError, match="recipe") as refusal:
        parse(recipe)
    assert said in str(refusal.value)


def test_precrop_belongs_to_training_and_to_resnet9(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        pytest.raises(ValueError, match=r"accelsim train resnet9 --prune precrop,0\.5"),
        pruned(nn.Linear(2, 2), "precrop,0.5"),
    ):
        pass
    assert main(["train", "vit", "--prune", "precrop,0.5", "-o", str(tmp_path / "t")]) == 2
    assert "makes resnet9 narrower, not vit" in capsys.readouterr().err
