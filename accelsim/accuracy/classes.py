"""Test accuracy on Fashion-MNIST, for a module that says it was trained on it: `dataset = "fashion-mnist"`.

The word stands on the module or in its configuration (config.json). Pictures are in 0 to 1; where the module
or its configuration has image_mean and image_std, these are subtracted and divided by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from accelsim.accuracy.pictures import fed, normalisation, normalised, shape_of
from accelsim.accuracy.spread import bootstrap, rounded
from accelsim.accuracy.task import AccuracyError, Advance
from accelsim.datasets import fashion_mnist
from accelsim.datasets.fashion import CLASSES, SIDE
from accelsim.models.inputs import ran
from accelsim.models.loading import Model
from accelsim.report import Accuracy

DATASET = "fashion-mnist"
LARGER_SIDE = 32  # pictures with two pixels of nothing around them
BATCH = 250


@dataclass(frozen=True, kw_only=True)
class Classes:
    """`pictures`: as the model takes them, batch first. `labels`: (count,)."""

    model: Model
    pictures: torch.Tensor
    labels: npt.NDArray[np.uint8]
    seed: int

    @property
    def work(self) -> int:
        """Pictures."""
        return len(self.pictures)

    def outputs(self, module: nn.Module, advance: Advance) -> npt.NDArray[np.float64]:
        """1 for each picture whose class is right, else 0."""
        right = []
        with torch.no_grad():
            for start in range(0, len(self.pictures), BATCH):
                batch = self.pictures[start : start + BATCH]
                output = ran(module, fed(self.model, batch))
                logits = getattr(output, "logits", output)
                if not isinstance(logits, torch.Tensor) or logits.shape != (len(batch), CLASSES):
                    raise AccuracyError(
                        f"a model of {DATASET} must give {CLASSES} classes a picture, and "
                        f"{type(module).__name__} gives {_shape(logits)}"
                    )
                labels = self.labels[start : start + BATCH]
                right.append((logits.argmax(dim=1).numpy() == labels).astype(np.float64))
                advance(len(batch))
        return np.concatenate(right)

    def judged(self, dense: npt.NDArray[np.float64], pruned: npt.NDArray[np.float64]) -> Accuracy:
        """Share of pictures whose class is right."""
        return Accuracy(
            metric="accuracy on test pictures of Fashion-MNIST",
            dense=rounded(float(dense.mean())),
            pruned=rounded(float(pruned.mean())),
            samples=len(dense),
            spread=bootstrap(dense, pruned, seed=self.seed, of="pictures"),
        )


def dataset_of(module: nn.Module) -> str | None:
    """The data set that a module says it is for."""
    config: Any = getattr(module, "config", None)
    named = getattr(module, "dataset", None) or getattr(config, "dataset", None)
    return named if isinstance(named, str) else None


def classes(model: Model, *, seed: int, samples: int | None) -> Classes:
    """The task for a model that takes Fashion-MNIST's pictures: all 10,000, or the first `samples`."""
    shape = shape_of(model)
    test = fashion_mnist()
    count = len(test.labels) if samples is None else samples
    if not 2 <= count <= len(test.labels):
        raise AccuracyError(f"--samples must be from 2 to {len(test.labels)} pictures, not {count}")
    return Classes(
        model=model,
        pictures=as_taken(model, shape, test.pictures[:count]),
        labels=test.labels[:count],
        seed=seed,
    )


def as_taken(model: Model, shape: torch.Size | None, pictures: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Grey pictures in the shape of the model's input."""
    sizes = tuple(shape[1:]) if shape is not None else ()
    grey = torch.from_numpy(pictures)[:, None].float() / 255
    mean_std = normalisation(model)
    if mean_std is not None:
        grey = normalised(grey, (mean_std[0][:1], mean_std[1][:1]))
    if sizes == (SIDE * SIDE,):
        return grey.flatten(1)
    if len(sizes) == 3 and sizes[0] in (1, 3) and sizes[1:] in ((SIDE, SIDE), (LARGER_SIDE, LARGER_SIDE)):
        margin = (sizes[1] - SIDE) // 2
        nothing = float(grey.min())
        return nn.functional.pad(grey, [margin] * 4, value=nothing).expand(-1, sizes[0], -1, -1)
    raise AccuracyError(
        f"a model of {DATASET} must take 1x1x28x28, 1x1x32x32 (1 or 3 channels) or 1x784, "
        f"and {model.name!r} takes {'x'.join(map(str, shape or ())) or 'something else'}"
    )


def _shape(value: Any) -> str:
    return "x".join(map(str, value.shape)) if isinstance(value, torch.Tensor) else type(value).__name__
