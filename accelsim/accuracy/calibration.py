"""What calibrates a recipe: inputs like those that a model is made for, and others than those that judge it.

The user's text if there is one. Else decoders, judged on Brown and Shakespeare, get windows of Shakespeare,
the last of the order of which an evaluation of the same seed draws the first; encoders, judged on rated
sentences, get Brown; models of pictures other crops, or training pictures; any other module its own inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from accelsim.accuracy.agreement import drawn_crops
from accelsim.accuracy.classes import DATASET, as_taken, dataset_of
from accelsim.accuracy.perplexity import LONGEST_TEXT, is_causal
from accelsim.accuracy.pictures import IMAGENET_MEAN, IMAGENET_STD, fed, normalisation, normalised, shape_of
from accelsim.accuracy.task import tokenizer_of
from accelsim.datasets import brown, fashion_mnist, shakespeare
from accelsim.models.candidates import maximum_tokens
from accelsim.models.loading import Model
from accelsim.prune import Composed, Depth, Recipe, fitted, parse_all


def calibrated(
    model: Model,
    recipes: str | Recipe | Sequence[str | Recipe] | None,
    *,
    seed: int,
    text: str | None = None,
    told: Callable[[str, int, int], None] | None = None,
) -> tuple[Recipe, ...]:
    """The recipes, those that need it with the weights that they leave; see `calibration`."""
    return fitted(model.module, recipes, calibration(model, recipes, seed=seed, text=text), told)


def calibration(
    model: Model, recipes: str | Recipe | Sequence[str | Recipe] | None, *, seed: int, text: str | None = None
) -> list[Any]:
    """Samples for `prune.fitted`, as many as the recipes say; none if nothing needs them.

    `text`: a file. Raises ValueError for a text that cannot be read, DatasetError where data cannot be had.
    """
    calibrating = [each for each in parse_all(recipes) if isinstance(each, Composed | Depth)]
    calibrating = [each for each in calibrating if each.needs_samples]
    if not calibrating:
        return []
    needy = max(calibrating, key=lambda each: int(each.calibration["samples"]))
    count, length = int(needy.calibration["samples"]), int(needy.calibration["length"])
    if getattr(model.module, "main_input_name", None) == "input_ids" and model.folder is not None:
        bodies = list((shakespeare if is_causal(model.module) else brown)().values())
        # Of a score that tells a domain from the rest, the user's text is the domain, and follows.
        general = count if text is None else needy.general_samples
        windows = text_windows(model, bodies, seed=seed, count=general, length=length) if general else []
        if text is not None:
            own = [Path(text).read_text(encoding="utf-8")]
            windows += text_windows(model, own, seed=seed, count=count - general, length=length)
        return [{"input_ids": torch.from_numpy(window)[None]} for window in windows]
    pictures = _pictures(model, count, seed)
    return [model.inputs] if pictures is None else [fed(model, picture[None]) for picture in pictures]


def text_windows(
    model: Model, texts: Sequence[str], *, seed: int, count: int, length: int
) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    """At most `count` windows of `length` tokens, drawn from the end of the order that evaluation draws from.

    Windows are those of the evaluation, cut to `length`: the two have none in common as long as their counts
    together are at most the windows that there are. Of texts that are shorter, one window of what there is.
    """
    made = tokenizer_of(model)
    made.model_max_length = LONGEST_TEXT
    special = made([""])["input_ids"][0]
    first = [made.bos_token_id] if special[:1] == [made.bos_token_id] else []
    whole = min(1024, maximum_tokens(model.module) or 1024) - len(first)
    body = min(length, whole + len(first)) - len(first)
    encoded = made(list(texts), add_special_tokens=False)["input_ids"]
    starts = [text[at : at + whole] for text in encoded for at in range(0, len(text) - whole + 1, whole)]
    if not starts:
        starts = [text for text in encoded if text][:1]
    if not starts or len(starts[0]) < 2:
        raise ValueError("a text that calibrates must hold at least 2 tokens")
    order = np.random.default_rng(seed).permutation(len(starts))[::-1]
    return [np.array(first + starts[index][:body], np.int64) for index in order[:count]]


def _pictures(model: Model, count: int, seed: int) -> torch.Tensor | None:
    """Pictures as the model takes them; None for a model of something else."""
    shape = shape_of(model)
    if dataset_of(model.module) == DATASET:
        return as_taken(model, shape, fashion_mnist(training=True).pictures[:count])
    if shape is None or len(shape) != 4 or shape[1] != 3:
        return None
    crops, _ = drawn_crops((shape[2], shape[3]), seed=seed + 1, count=count)
    return normalised(crops, normalisation(model) or (IMAGENET_MEAN, IMAGENET_STD))
