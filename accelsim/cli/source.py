"""Where a workload of the command line comes from: a model, pruned or as it is, or a workload file."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from accelsim.cli.output import progress, step
from accelsim.foreign import foreign_code
from accelsim.report import Accuracy
from accelsim.workload import Workload

if TYPE_CHECKING:
    from accelsim.accuracy import Evaluation
    from accelsim.models.loading import Model as LoadedModel
    from accelsim.prune import Recipe

MOST_ELEMENTS = 2**30
PROMPT = "prompt/"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a workload comes from: a model with its recipes and inputs, or a workload file."""

    model: str
    recipes: list[str]
    text: str | None
    shape: str | None
    tokens: int | None
    batch: int
    seed: int
    image: str | None = None
    generate: int | None = None
    skip_prompt: bool = False
    train: bool = False
    scores: bool = False

    def __post_init__(self) -> None:
        if self.train and self.generate is not None:
            raise ValueError(f"--generate cannot be {self.generate} with --train: a step has one pass")
        if self.image is not None and self.text is not None:
            raise ValueError(f"--image cannot be {self.image!r} with --text: a run has one input")

    @property
    def is_workload(self) -> bool:
        """Whether MODEL is a file that `accelsim trace` wrote."""
        return self.model.endswith(".npz")

    @property
    def is_network(self) -> bool:
        """Whether only the shapes of MODEL are known."""
        from accelsim.models import networks

        return self.model in networks()

    @cached_property
    def loaded(self) -> LoadedModel:
        """The model with its inputs, loaded once. What can be refused before that is refused first."""
        from accelsim.models import load
        from accelsim.prune import parse_all

        parse_all(self.recipes)
        if self.text is not None and not Path(self.text).is_file():
            raise ValueError(f"--text must be a file, and there is no {self.text!r}")
        if self.shape is not None and not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", self.shape):
            raise ValueError(f"--input must be a shape such as 1x3x32x32, not {self.shape!r}")
        if self.shape is not None and math.prod(map(int, self.shape.split("x"))) > MOST_ELEMENTS:
            raise ValueError(f"--input must have at most {MOST_ELEMENTS} elements, not {self.shape!r}")
        if self.image is not None and not Path(self.image).is_file():
            raise ValueError(f"--image must be a file, and there is no {self.image!r}")
        model = load(
            self.model,
            seed=self.seed,
            tokens=self.tokens,
            input_shape=self.shape,
            text=self.text,
            batch=self.batch,
        )
        if self.image is None:
            return model
        from accelsim.accuracy.pictures import with_picture

        return with_picture(model, self.image)

    @cached_property
    def pruning(self) -> tuple[Recipe, ...]:
        """The recipes; those that need it are calibrated, once for the trace and the evaluation."""
        from accelsim.prune import parse_all

        if self.is_workload or self.is_network or self.train:
            return parse_all(self.recipes)
        with foreign_code(self.model), progress(f"{self.model}: pruning") as told:
            model = self.loaded  # first: it says in one line that torch is missing
            from accelsim.accuracy.calibration import calibrated

            return calibrated(model, self.recipes, seed=self.seed, text=self.text, told=told)

    def workload(self, recipes: Sequence[str | Recipe] | None = None) -> Workload:
        """Read or trace, under other `recipes` if given. ValueError for whatever the user got wrong."""
        if self.is_workload:
            return self._saved()
        if self.skip_prompt and self.generate is None:
            raise ValueError("--skip-prompt belongs to --generate: without it there is no other pass")
        recipes = (self.pruning if recipes is None else recipes) or None
        made = self._drawn(recipes) if self.is_network else self._traced(recipes)
        if not self.skip_prompt:
            return made
        layers = tuple(layer for layer in made.layers if not layer.name.startswith(PROMPT))
        return replace(made, layers=layers, notes=(*made.notes, "the pass over the prompt is left out"))

    def _traced(self, recipes: Sequence[str | Recipe] | None) -> Workload:
        with foreign_code(self.model), step(f"{self.model}: loading", lines=False):
            model = self.loaded
        return replace(self._recorded(model, recipes), words=model.words)

    def _recorded(self, model: LoadedModel, recipes: Sequence[str | Recipe] | None) -> Workload:
        from accelsim.trace import trace

        if self.train:
            from accelsim.training import trace_step

            with foreign_code(self.model), step(f"{self.model}: tracing a training step"):
                return trace_step(
                    model.module, model.inputs, self.recipes or None, name=model.name, notes=model.notes
                )
        with foreign_code(self.model), step(f"{self.model}: tracing"):
            return trace(
                model.module,
                model.inputs,
                recipes,
                name=model.name,
                notes=model.notes,
                generate=self.generate,
                scores=self.scores,
            )

    def evaluation(self, samples: int | None) -> Evaluation:
        """How the accuracy will be measured, with the data for it. ValueError if it cannot be."""
        with foreign_code(self.model), step(f"{self.model}: fetching what it is evaluated on"):
            model = self.loaded  # as above
            from accelsim.accuracy import prepare

            return prepare(model, self.pruning or None, seed=self.seed, samples=samples)

    def accuracy(self, evaluation: Evaluation) -> Accuracy:
        """Measure it, dense and pruned."""
        return self.accuracies(evaluation, [evaluation.recipes])[0]

    def accuracies(self, evaluation: Evaluation, several: Sequence[Sequence[Recipe]]) -> list[Accuracy]:
        """Measure it, dense and under each set of recipes."""
        with (
            foreign_code(self.model),
            progress(f"{self.model}: evaluating", what="samples") as advance,
        ):
            return evaluation.measure_each(several, advance)

    def _drawn(self, recipes: Sequence[str | Recipe] | None) -> Workload:
        from accelsim.models import network

        if self.text is not None:
            raise ValueError(
                f"--text needs a model with a tokenizer; of {self.model!r} only shapes are known"
            )
        if self.image is not None:
            raise ValueError(f"--image needs a model with weights; of {self.model!r} only shapes are known")
        with step(f"{self.model}: drawing", lines=False):
            return network(
                self.model,
                recipes,
                tokens=self.tokens,
                batch=self.batch,
                input_shape=self.shape,
                generate=self.generate,
                seed=self.seed,
                train=self.train,
            )

    def _saved(self) -> Workload:
        given = {
            "--prune": bool(self.recipes),
            "--text": self.text is not None,
            "--image": self.image is not None,
            "--input": self.shape is not None,
            "--tokens": self.tokens is not None,
            "--batch": self.batch != 1,
            "--generate": self.generate is not None,
            "--train": self.train,
            "--skip-prompt": self.skip_prompt,
        }
        for flag, is_given in given.items():
            if is_given:
                raise ValueError(
                    f"{flag} belongs to `accelsim trace`: the workload file {self.model!r} is fixed"
                )
        return Workload.load(self.model)
