"""How a model wants its pictures: size, channels, and what is subtracted and divided by."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from accelsim.datasets import picture_of
from accelsim.models.inputs import described
from accelsim.models.loading import Model

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

BATCH = 32


def shape_of(model: Model) -> torch.Size | None:
    """Shape of the model's floating-point input, batch first; None if it takes more than one, or none."""
    tensor = _tensor(model)
    return tensor.shape if tensor is not None else None


def _tensor(model: Model) -> torch.Tensor | None:
    """The model's floating-point input, if it takes one and no other."""
    given: Any = model.inputs
    tensors = (
        list(given.values()) if isinstance(given, dict) else given if isinstance(given, tuple) else [given]
    )
    if len(tensors) != 1 or not isinstance(tensors[0], torch.Tensor):
        return None
    return tensors[0] if tensors[0].is_floating_point() else None


def fed(model: Model, pictures: torch.Tensor) -> Any:
    """`pictures` in the form of the model's own inputs: by name, in a tuple, or alone."""
    if isinstance(model.inputs, dict):
        return dict.fromkeys(model.inputs, pictures)
    return (pictures,) if isinstance(model.inputs, tuple) else pictures


def normalisation(model: Model) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and standard deviation per channel of pictures in 0 to 1, as the model names them; else None.

    Looked for on the module, in its configuration, and in the preprocessor_config.json of its folder.
    """
    config: Any = getattr(model.module, "config", None)
    for place in (
        vars(model.module),
        vars(config) if config is not None else {},
        _preprocessor(model.folder),
    ):
        mean, std = _numbers(place.get("image_mean")), _numbers(place.get("image_std"))
        if mean and std and len(mean) == len(std) and all(std):
            return mean, std
    return None


def normalised(pictures: torch.Tensor, mean_std: tuple[tuple[float, ...], tuple[float, ...]]) -> torch.Tensor:
    """(count, channels, height, width) in 0 to 1, minus the mean and over the deviation of each channel."""
    mean, std = (torch.tensor(each).view(1, -1, 1, 1) for each in mean_std)
    return (pictures - mean) / std


def square(pixels: torch.Tensor, top: int, left: int, side: int, size: tuple[int, int]) -> torch.Tensor:
    """(channels, *size) in 0 to 1: a square of (channels, height, width) pixels in 0 to 255, scaled."""
    cut = pixels[None, :, top : top + side, left : left + side].float() / 255
    return torch.nn.functional.interpolate(cut, size=size, mode="bilinear", antialias=True)[0]


def with_picture(model: Model, file: str) -> Model:
    """The model on the middle square of a picture, scaled to its size and normalised as it wants (else as for
    ImageNet, or in 0 to 1 for one channel); as many copies as its own input has.

    ValueError for a model of anything else than pictures, and for a file that is none.
    """
    own_input = _tensor(model)
    if own_input is None or own_input.dim() != 4 or own_input.shape[1] not in (1, 3):
        own = described(model.inputs)
        raise ValueError(f"--image needs a model of pictures of 1 or 3 channels, not one of {own}")
    count, channels, height, width = own_input.shape
    pixels = torch.tensor(picture_of(file, channels=channels)).permute(2, 0, 1)
    side = min(pixels.shape[1:])
    top, left = ((length - side) // 2 for length in pixels.shape[1:])
    wanted = normalisation(model)
    if wanted is None or len(wanted[0]) not in (1, channels):
        wanted = (IMAGENET_MEAN, IMAGENET_STD) if channels == 3 else ((0.0,), (1.0,))
    picture = normalised(square(pixels, top, left, side, (height, width))[None], wanted)
    inputs = fed(model, picture.repeat(count, 1, 1, 1).to(own_input.dtype))
    said = f"{described(inputs)}, from {Path(file).name}"
    return replace(
        model,
        inputs=inputs,
        metadata={**model.metadata, "inputs": said},
        notes=(f"inputs: {said}", *model.notes[1:]),
    )


def _preprocessor(folder: Path | None) -> dict[str, Any]:
    file = folder / "preprocessor_config.json" if folder is not None and folder.is_dir() else None
    if file is None or not file.is_file():
        return {}
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} must be JSON: {error}") from None
    return settings if isinstance(settings, dict) else {}


def _numbers(value: Any) -> tuple[float, ...]:
    """A number or several as a tuple; empty for anything else."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return tuple(float(v) for v in values) if all(isinstance(v, (int, float)) for v in values) else ()
