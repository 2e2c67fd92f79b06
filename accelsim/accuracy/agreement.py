"""How far a pruned model of pictures agrees with the dense one. There are no labels: this is no accuracy.

Samples are square crops of eight photographs, in turn, drawn from the seed: the side from a third to all of
the shorter edge, the place anywhere, scaled to the size that the model takes. Crops of one photograph are
alike, so the spread is over photographs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from accelsim.accuracy.pictures import (
    BATCH,
    IMAGENET_MEAN,
    IMAGENET_STD,
    fed,
    normalisation,
    normalised,
    shape_of,
    square,
)
from accelsim.accuracy.spread import bootstrap, rounded
from accelsim.accuracy.task import AccuracyError, Advance
from accelsim.datasets import sample_pictures
from accelsim.models.inputs import ran
from accelsim.models.loading import Model
from accelsim.report import Accuracy

CROPS = 160
SMALLEST_CROP = 1 / 3  # of the shorter edge


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """`crops`: (count, 3, height, width), normalised. `origins`: the photograph of each, by number."""

    model: Model
    crops: torch.Tensor
    origins: npt.NDArray[np.int64]
    seed: int

    @property
    def work(self) -> int:
        """Crops."""
        return len(self.crops)

    def outputs(self, module: nn.Module, advance: Advance) -> tuple[bool, npt.NDArray[np.float64]]:
        """Whether the rows are logits, and a row for each crop."""
        rows = []
        is_logits = False
        with torch.no_grad():
            for start in range(0, len(self.crops), BATCH):
                batch = self.crops[start : start + BATCH]
                is_logits, output = _row(module, ran(module, fed(self.model, batch)))
                rows.append(output.double().numpy())
                advance(len(batch))
        return is_logits, np.concatenate(rows)

    def judged(
        self,
        dense: tuple[bool, npt.NDArray[np.float64]],
        pruned: tuple[bool, npt.NDArray[np.float64]],
    ) -> Accuracy:
        """Share of equal top classes (of logits), and mean cosine of the outputs."""
        similarity = self._agreement(
            "mean cosine of the outputs with the dense model's", _cosine(dense[1], pruned[1])
        )
        if not dense[0]:
            return similarity
        equal = dense[1].argmax(axis=1) == pruned[1].argmax(axis=1)
        top = self._agreement("share with the dense model's top class", equal.astype(np.float64))
        return replace(top, others=(similarity,))

    def _agreement(self, what: str, scores: npt.NDArray[np.float64]) -> Accuracy:
        return Accuracy(
            metric=f"agreement with the dense model, no accuracy: {what}, on crops of sample pictures",
            dense=1.0,
            pruned=rounded(float(scores.mean())),
            samples=len(scores),
            spread=bootstrap(
                np.ones_like(scores), scores, seed=self.seed, of="photographs", origins=self.origins
            ),
        )


def agreement(model: Model, *, seed: int, samples: int | None) -> Agreement:
    """The task for a model that takes pictures of three channels; AccuracyError for another."""
    shape = shape_of(model)
    if shape is None or len(shape) != 4 or shape[1] != 3:
        raise AccuracyError(f"agreement needs a model of pictures of 3 channels, not {model.name!r}")
    count = CROPS if samples is None else samples
    if count < 2:
        raise AccuracyError(f"--samples must be at least 2 crops, not {count}")
    crops, origins = drawn_crops((shape[2], shape[3]), seed=seed, count=count)
    crops = normalised(crops, normalisation(model) or (IMAGENET_MEAN, IMAGENET_STD))
    return Agreement(model=model, crops=crops, origins=origins, seed=seed)


def drawn_crops(
    size: tuple[int, int], *, seed: int, count: int
) -> tuple[torch.Tensor, npt.NDArray[np.int64]]:
    """(count, 3, height, width) in 0 to 1, and the number of the photograph that each was cut from."""
    photographs = [
        torch.from_numpy(picture.copy()).permute(2, 0, 1) for picture in sample_pictures().values()
    ]
    generator = np.random.default_rng(seed)
    crops = []
    for index in range(count):
        picture = photographs[index % len(photographs)]
        shorter = min(picture.shape[1:])
        side = int(generator.integers(round(shorter * SMALLEST_CROP), shorter + 1))
        top, left = (int(generator.integers(edge - side + 1)) for edge in picture.shape[1:])
        crops.append(square(picture, top, left, side, size))
    return torch.stack(crops), np.arange(count) % len(photographs)


def _row(module: nn.Module, output: Any) -> tuple[bool, torch.Tensor]:
    """Logits (batch, classes), or the mean over the positions that are left: (batch, width)."""
    logits = getattr(output, "logits", output)
    if isinstance(logits, (tuple, list)) and logits:
        logits = logits[0]
    if isinstance(logits, torch.Tensor) and logits.dim() == 2:
        return True, logits
    hidden = getattr(output, "last_hidden_state", logits)
    if isinstance(hidden, torch.Tensor) and hidden.dim() == 3:
        return False, hidden.mean(dim=1)
    if isinstance(hidden, torch.Tensor) and hidden.dim() == 4:
        return False, hidden.mean(dim=(2, 3))
    raise AccuracyError(
        f"agreement needs logits or hidden states of a picture, and {type(module).__name__} gives none"
    )


def _cosine(dense: npt.NDArray[np.float64], pruned: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of each row; rows of zeros agree with nothing but zeros."""
    products = (dense * pruned).sum(axis=1)
    lengths = np.linalg.norm(dense, axis=1) * np.linalg.norm(pruned, axis=1)
    same = (dense == pruned).all(axis=1)
    cosine: npt.NDArray[np.float64] = np.where(same, 1.0, products / np.where(lengths > 0, lengths, 1.0))
    return cosine
