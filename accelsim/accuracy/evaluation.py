"""Which way of measuring suits a model, and the measurement: the dense model, then the pruned one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from accelsim.accuracy.agreement import agreement
from accelsim.accuracy.calibration import calibration
from accelsim.accuracy.classes import DATASET, classes, dataset_of
from accelsim.accuracy.perplexity import is_causal, perplexity
from accelsim.accuracy.pictures import shape_of
from accelsim.accuracy.sentences import sentences
from accelsim.accuracy.task import AccuracyError, Task
from accelsim.models.loading import Model
from accelsim.prune import Recipe, fitted, parse_all, pruned
from accelsim.report import Accuracy

PRUNED_SHARE = 0.01

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A model, its recipes, and a task whose data is there."""

    model: Model
    recipes: tuple[Recipe, ...]
    task: Task

    def measure(self, progress: Progress | None = None) -> Accuracy:
        """Run the dense and the pruned model on the task. `progress(which, samples done, samples)`."""
        return self.measure_each([self.recipes], progress)[0]

    def measure_each(
        self, several: Sequence[Sequence[Recipe]], progress: Progress | None = None
    ) -> list[Accuracy]:
        """The dense model on the task, and under one set of recipes after the other; none is as it is."""
        module = self.model.module
        total = self.task.work * (1 + sum(bool(recipes) for recipes in several))
        done = 0

        def counted(which: str) -> Callable[[int], None]:
            def advance(samples: int) -> None:
                nonlocal done
                done += samples
                if progress:
                    progress(which, done, total)

            return advance

        dense = self.task.outputs(module, counted("dense" if any(several) else "as it is"))
        found = []
        for recipes in several:
            if recipes:
                with pruned(module, recipes, heads_per_sample=True):
                    found.append(self.task.judged(dense, self.task.outputs(module, counted("pruned"))))
            else:
                same = self.task.judged(dense, dense)
                found.append(same.without_dense() if is_pruned(module) else same)
        return found


def prepare(
    model: Model,
    prune: str | Recipe | Sequence[str | Recipe] | None = None,
    *,
    seed: int = 0,
    samples: int | None = None,
) -> Evaluation:
    """Choose the task and fetch its data, so that what cannot be measured is refused before any work.

    By what the model is: one of Fashion-MNIST its test accuracy; a causal language model its perplexity; a
    text encoder the accuracy of a head on rated sentences; a model of pictures its agreement with the dense
    model. `samples`: windows, sentences or pictures to test; None is as many as are customary. Raises
    AccuracyError for another model, and DatasetError where the data cannot be had.
    """
    recipes = parse_all(prune)
    task = _task(model, recipes, seed, samples)
    recipes = fitted(model.module, recipes, calibration(model, recipes, seed=seed))
    return Evaluation(model=model, recipes=recipes, task=task)


def _task(model: Model, recipes: tuple[Recipe, ...], seed: int, samples: int | None) -> Task:
    named = dataset_of(model.module)
    if named is not None and named != DATASET:
        raise AccuracyError(f"dataset of {model.name!r} must be {DATASET!r}, not {named!r}")
    if named is not None:
        return classes(model, seed=seed, samples=samples)
    if getattr(model.module, "main_input_name", None) == "input_ids" and model.folder is not None:
        if getattr(getattr(model.module, "config", None), "is_encoder_decoder", False):
            raise AccuracyError(f"accuracy needs an encoder or a decoder alone, and {model.name!r} is both")
        if is_causal(model.module):
            return perplexity(model, recipes, seed=seed, samples=samples)
        return sentences(model, seed=seed, samples=samples)
    shape = shape_of(model)
    if shape is not None and len(shape) == 4 and shape[1] == 3:
        if not recipes and is_pruned(model.module):
            raise AccuracyError(
                f"agreement needs the dense model, and {model.name!r} is pruned already: "
                "bring the dense one, and prune it by --prune"
            )
        return agreement(model, seed=seed, samples=samples)
    raise AccuracyError(
        "accuracy needs a text model with its tokenizer, a model of 3-channel pictures, or "
        f"dataset = {DATASET!r} on the module, not {model.name!r}"
    )


def is_pruned(module: nn.Module) -> bool:
    """Whether over 1 % of the weights are zero, by value or by a mask: a few are so by chance."""
    weights, zeros = 0, 0
    for child in module.modules():
        weight = getattr(child, "weight", None)
        if isinstance(weight, torch.Tensor) and weight.dim() > 1:
            values = weight.detach()
            values = values if values.layout == torch.strided else values.to_dense()
            weights += values.numel()
            zeros += values.numel() - int(torch.count_nonzero(values))
    return zeros > PRUNED_SHARE * weights
