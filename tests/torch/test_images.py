"""`--image`: a picture as a model's input."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("PIL")

import torch
from PIL import Image
from torch import nn

from accelsim.accuracy.pictures import IMAGENET_MEAN, IMAGENET_STD, with_picture
from accelsim.cli import main
from accelsim.models.loading import Model
from accelsim.workload import Workload

pytestmark = pytest.mark.torch


def model(*shape: int, module: nn.Module | None = None) -> Model:
    inputs = torch.zeros(*shape) if shape else {"input_ids": torch.zeros(1, 8, dtype=torch.int64)}
    return Model(name="m", module=module or nn.Identity(), inputs=inputs, notes=("inputs: 1", "more"))


@pytest.fixture
def picture(tmp_path: Path) -> str:
    """Wider than high: red in the middle square, blue on both sides of it."""
    image = Image.new("RGB", (60, 20), (0, 0, 255))
    image.paste((255, 0, 0), (20, 0, 40, 20))
    image.save(tmp_path / "wide.png")
    return str(tmp_path / "wide.png")


def test_the_middle_square_is_scaled_and_normalised(picture: str) -> None:
    found = with_picture(model(2, 3, 8, 10), picture)
    wanted = (torch.tensor([1.0, 0.0, 0.0]) - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)
    assert found.inputs.shape == (2, 3, 8, 10)
    torch.testing.assert_close(found.inputs.mean((0, 2, 3)), wanted)
    torch.testing.assert_close(found.inputs.std((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    assert found.notes == ("inputs: 2x3x8x10, from wide.png", "more")


def test_one_channel_is_grey_in_0_to_1_and_a_model_says_how_else(picture: str) -> None:
    plain = with_picture(model(1, 1, 4, 4), picture).inputs
    torch.testing.assert_close(plain, torch.full((1, 1, 4, 4), 76 / 255))
    told = nn.Identity()
    told.image_mean, told.image_std = 0.5, 0.25
    own = with_picture(model(1, 1, 4, 4, module=told), picture).inputs
    torch.testing.assert_close(own, (plain - 0.5) / 0.25)
    told.image_mean, told.image_std = IMAGENET_MEAN, IMAGENET_STD
    other = with_picture(model(1, 1, 4, 4, module=told), picture).inputs
    torch.testing.assert_close(other, plain)


def test_the_command_runs_the_model_on_it(picture: str, tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "from torch import nn\n"
        "def net():\n    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(3600, 2))\n"
    )
    saved = tmp_path / "net.npz"
    assert main(shlex.split(f"trace {own}:net --image {picture} -o {saved}")) == 0
    assert "inputs: 1x3x32x32, from wide.png" in Workload.load(str(saved)).notes


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            "run minilm --on sat --image {picture}",
            "a model of pictures of 1 or 3 channels, not one of",
        ),
        ("run vit-s --on sat --image {text}", "--image must be a picture that can be read, not"),
        ("run vit-s --on sat --image /no/such", "--image must be a file, and there is no '/no/such'"),
        ("run vit-s --on sat --image {picture} --text {text}", "a run has one input"),
        ("run resnet-50 --on sat --image {picture}", "of 'resnet-50' only shapes are known"),
        ("run some.npz --on sat --image {picture}", "--image belongs to `accelsim trace`"),
    ],
)
def test_what_is_no_picture_or_takes_none_is_refused(
    words: str, line: str, picture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "words.txt"
    text.write_text("no picture")
    assert main(shlex.split(words.format(picture=picture, text=text))) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said
