"""Agreement on sample pictures, and accuracy on Fashion-MNIST."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.utils import prune  # noqa: E402

from accelsim.accuracy import AccuracyError, prepare  # noqa: E402
from accelsim.accuracy.agreement import drawn_crops  # noqa: E402
from accelsim.accuracy.pictures import normalisation, normalised  # noqa: E402
from accelsim.cli import main  # noqa: E402
from accelsim.datasets import LabelledPictures, fashion_mnist, sample_pictures  # noqa: E402
from accelsim.models import load  # noqa: E402
from accelsim.models.loading import Model  # noqa: E402
from accelsim.models.resnet9 import ResNet9  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture
def _few_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    made = {str(n): generator.integers(256, size=(40 + n, 60, 3), dtype=np.uint8) for n in range(3)}
    monkeypatch.setattr("accelsim.accuracy.agreement.sample_pictures", lambda: made)


@pytest.fixture
def _few_clothes(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(10, size=60, dtype=np.uint8)
    pictures = np.zeros((60, 28, 28), np.uint8)
    pictures[np.arange(60), 14, labels] = 255  # a dot whose column is the class
    made = LabelledPictures(pictures=pictures, labels=labels)
    monkeypatch.setattr("accelsim.accuracy.classes.fashion_mnist", lambda: made)


def model(module: nn.Module, *shape: int) -> Model:
    return Model(name="mine", module=module.eval(), inputs=torch.zeros(shape))


def classifier() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 64, 6))


@pytest.mark.usefixtures("_few_photographs")
def test_crops_take_photographs_in_turn_and_come_from_the_seed() -> None:
    crops, origins = drawn_crops((24, 16), seed=5, count=7)
    assert crops.shape == (7, 3, 24, 16)
    assert origins.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert 0 <= crops.min() < crops.max() <= 1
    assert torch.equal(crops[:4], drawn_crops((24, 16), seed=5, count=4)[0])
    assert not torch.equal(crops, drawn_crops((24, 16), seed=6, count=7)[0])


@pytest.mark.usefixtures("_few_photographs")
def test_a_classifier_agrees_with_itself_and_less_when_pruned() -> None:
    mine = model(classifier(), 1, 3, 32, 32)
    same = prepare(mine, "magnitude,4:4", samples=50).measure()
    assert same.metric.startswith("agreement with the dense model, no accuracy: share with")
    assert (same.dense, same.pruned, same.samples) == (1, 1, 50)
    assert same.others[0].pruned == 1
    assert "3 photographs" in same.spread.method
    hurt = prepare(mine, "magnitude,1:16", samples=50).measure()
    assert hurt.pruned < 1
    assert hurt.others[0].pruned < 1
    assert hurt.spread.difference[1] <= 0


@pytest.mark.usefixtures("_few_photographs")
def test_pictures_are_normalised_as_the_model_says() -> None:
    mine = model(nn.Conv2d(3, 8, 3), 1, 3, 16, 16)
    mine.module.image_mean, mine.module.image_std = (0.5,) * 3, (0.25,) * 3
    expected = (drawn_crops((16, 16), seed=0, count=4)[0] - 0.5) / 0.25
    assert torch.allclose(prepare(mine, samples=4).task.crops, expected)
    del mine.module.image_mean
    assert not torch.allclose(prepare(mine, samples=4).task.crops, expected)


@pytest.mark.usefixtures("_few_photographs")
def test_a_backbone_agrees_by_the_cosine_of_what_tokens_are_left_say() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=2, patch_size=8, image_size=32
    )
    backbone = transformers.Dinov2Model._from_config(config, attn_implementation="eager")
    mine = Model(name="vit", module=backbone.eval(), inputs={"pixel_values": torch.zeros(1, 3, 32, 32)})
    kept = prepare(mine, "magnitude,4:4", samples=6).measure()
    assert "mean cosine" in kept.metric
    assert kept.pruned == pytest.approx(1)
    assert kept.others == ()
    assert prepare(mine, "spatten,tokens=0.5", samples=6).measure().pruned < 1


@pytest.mark.usefixtures("_few_photographs", "_few_clothes")
def test_of_a_model_that_came_pruned_the_dense_figure_is_unknown() -> None:
    mine = model(classifier(), 1, 3, 32, 32)
    prune.l1_unstructured(mine.module[3], "weight", 0.5)
    with pytest.raises(AccuracyError, match="agreement needs the dense model, and 'mine' is pruned already"):
        prepare(mine)
    clothes = model(nn.Linear(784, 10), 1, 784)
    clothes.module.dataset = "fashion-mnist"
    before = prepare(clothes).measure()
    assert before.dense == before.pruned
    prune.l1_unstructured(clothes.module, "weight", 0.5)
    after = prepare(clothes).measure()
    assert after.dense is None
    assert after.spread.dense is after.spread.difference is None
    assert 0 <= after.pruned <= 1


@pytest.mark.slow
def test_efficientnet_knows_a_cat_and_an_espresso() -> None:
    photographs = sample_pictures()
    shown = torch.stack([square(photographs[name], 224) for name in ("cat", "coffee")])
    efficientnet = load("efficientnet-lite0")
    with torch.no_grad():
        found = efficientnet.module(normalised(shown, normalisation(efficientnet))).argmax(1).tolist()
    assert found[0] in (281, 282, 285)  # tabby, tiger cat, Egyptian cat
    assert found[1] == 967


def square(picture: Any, side: int) -> torch.Tensor:
    """The middle of a picture, scaled: (3, side, side) in 0 to 1."""
    edge = min(picture.shape[:2])
    top, left = ((length - edge) // 2 for length in picture.shape[:2])
    middle = torch.from_numpy(picture[top : top + edge, left : left + edge].copy()).permute(2, 0, 1)
    return nn.functional.interpolate(
        middle[None].float() / 255, size=(side, side), mode="bilinear", antialias=True
    )[0]


@pytest.mark.parametrize(
    ("module", "shape", "said"),
    [
        (nn.Linear(2, 2), (1, 2), "accuracy needs a text model with its tokenizer, .* not 'mine'"),
        (nn.Conv2d(1, 4, 3), (1, 1, 8, 8), "a model of 3-channel pictures, or dataset = 'fashion-mnist'"),
    ],
)
def test_a_model_without_a_task_is_refused(module: nn.Module, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(AccuracyError, match=said):
        prepare(model(module, *shape))


@pytest.mark.usefixtures("_few_clothes")
@pytest.mark.parametrize("shape", [(1, 1, 28, 28), (1, 1, 32, 32), (1, 3, 28, 28), (1, 784)])
def test_a_network_that_reads_the_class_off_the_picture_is_always_right(shape: tuple[int, ...]) -> None:
    class Reads(nn.Module):
        dataset = "fashion-mnist"

        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(10, 10, bias=False)
            nn.init.eye_(self.first.weight)

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            margin = (pictures.shape[-1] - 28) // 2 if pictures.dim() == 4 else 0
            grey = pictures.mean(1) if pictures.dim() == 4 else pictures.reshape(-1, 28, 28)
            return self.first(grey[:, 14 + margin, margin : margin + 10])

    found = prepare(model(Reads(), *shape), "magnitude,1:10").measure()
    assert (found.dense, found.pruned, found.samples) == (1, 1, 60)
    assert found.metric == "accuracy on test pictures of Fashion-MNIST"


@pytest.mark.usefixtures("_few_clothes")
def test_what_does_not_fit_fashion_mnist_is_refused() -> None:
    def named(module: nn.Module, dataset: str = "fashion-mnist") -> nn.Module:
        module.dataset = dataset
        return module

    with pytest.raises(AccuracyError, match=r"must take 1x1x28x28, .* and 'mine' takes 1x1x16x16"):
        prepare(model(named(nn.Conv2d(1, 10, 3)), 1, 1, 16, 16))
    with pytest.raises(AccuracyError, match="must give 10 classes a picture, and Linear gives 60x7"):
        prepare(model(named(nn.Linear(784, 7)), 1, 784)).measure()
    with pytest.raises(AccuracyError, match="dataset of 'mine' must be 'fashion-mnist', not 'cifar'"):
        prepare(model(named(nn.Linear(784, 10), "cifar"), 1, 784))
    with pytest.raises(AccuracyError, match="--samples must be from 2 to 60 pictures, not 61"):
        prepare(model(named(nn.Linear(784, 10)), 1, 784), samples=61)


def test_the_reference_network_is_a_quarter_of_the_published_one() -> None:
    assert sum(parameter.numel() for parameter in ResNet9().parameters()) == 412_666
    assert ResNet9()(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


FACTORY = """
import torch
from safetensors.torch import load_model
from accelsim.models.resnet9 import ResNet9

def trained():
    module = ResNet9()
    load_model(module, {weights!r})
    return module, torch.zeros(1, 1, 28, 28)
"""


@pytest.mark.slow
def test_a_network_trained_for_a_moment_is_evaluated_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import save_model

    data = fashion_mnist(training=True)
    torch.manual_seed(0)
    module = ResNet9()
    optimiser = torch.optim.AdamW(module.parameters(), lr=3e-3)
    for start in range(0, 3200, 64):
        pictures = torch.from_numpy(data.pictures[start : start + 64])[:, None].float() / 255
        labels = torch.from_numpy(data.labels[start : start + 64]).long()
        loss = nn.functional.cross_entropy(module(pictures), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    save_model(module, str(tmp_path / "weights.safetensors"))
    (tmp_path / "mine.py").write_text(FACTORY.format(weights=str(tmp_path / "weights.safetensors")))
    words = (
        f"run {tmp_path}/mine.py:trained --prune magnitude,2:4 --on sat --evaluate --samples 1000 --json -"
    )
    assert main(words.split()) == 0
    found: Any = json.loads(capsys.readouterr().out)["accuracy"]
    assert found["metric"] == "accuracy on test pictures of Fashion-MNIST"
    assert found["samples"] == 1000
    assert found["dense"] > 0.6
    assert 0 < found["pruned"] <= 1
    low, high = found["spread"]["dense"]
    assert low <= found["dense"] <= high
