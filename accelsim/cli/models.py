"""`run`, `trace` and `compare`: a model, pruned or as it is, on one machine or several."""

from __future__ import annotations

import contextlib
import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accelsim.accelerators import ACCELERATORS, Sat
from accelsim.accelerators.sat import schedule
from accelsim.cli.ablation import ablated, check_ablation
from accelsim.cli.options import (
    Explain,
    Json,
    Machine,
    On,
    Prune,
    ReportFile,
    Seed,
    Settings,
    TimelineFile,
    TimelineWindow,
    count_option,
    machine,
)
from accelsim.cli.output import (
    Stopwatch,
    check_destination,
    check_page,
    check_timeline,
    progress,
    show,
    show_all,
    step,
    write_page,
    write_timeline,
)
from accelsim.report import Accuracy
from accelsim.run import run
from accelsim.workload import Workload

if TYPE_CHECKING:
    from accelsim.accuracy import Evaluation
    from accelsim.models.loading import Model as LoadedModel
    from accelsim.prune import Recipe

MOST_ELEMENTS = 2**30
MOST_COPIES = 65536
MOST_SAMPLES = 10**6
PROMPT = "prompt/"

Model = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="A name, a folder, a workload .npz, or module.py:factory."),
]
Text = Annotated[str | None, typer.Option("--text", metavar="FILE", help="Text to run the model on.")]
Shape = Annotated[
    str | None, typer.Option("--input", metavar="SHAPE", help="Shape of a drawn input: 1x3x32x32.")
]
Tokens = Annotated[
    int | None, count_option("--tokens", "Length of a drawn text; default 128.", most=MOST_ELEMENTS)
]
Batch = Annotated[int, count_option("--batch", "Copies of the input.", most=MOST_COPIES)]
Train = Annotated[bool, typer.Option("--train", help="One training step, not a forward pass.")]
Scores = Annotated[
    bool, typer.Option("--scores", help="Record Q, K and scores, on which a3 and mnnfast decide.")
]
Generate = Annotated[int | None, count_option("--generate", "Tokens run one by one behind the input.")]
SkipPrompt = Annotated[
    bool, typer.Option("--skip-prompt", help="With --generate: leave the prompt's own pass out.")
]


def add_commands(app: typer.Typer) -> None:
    """Put the commands of this file on the command line."""
    app.command("run")(run_model)
    app.command("trace")(trace_model)
    app.command("compare")(compare)


def run_model(
    model: Model,
    on: On,
    prune: Prune = None,
    settings: Settings = None,
    text: Text = None,
    shape: Shape = None,
    tokens: Tokens = None,
    batch: Batch = 1,
    generate: Generate = None,
    train: Train = False,
    skip_prompt: SkipPrompt = False,
    evaluate: Annotated[bool, typer.Option("--evaluate", help="Measure the accuracy, too.")] = False,
    samples: Annotated[
        int | None,
        count_option("--samples", "Windows, sentences or pictures for --evaluate.", most=MOST_SAMPLES),
    ] = None,
    save_schedule: Annotated[
        str | None,
        typer.Option("--save-schedule", metavar="FILE", help="Write sat's words, for --set schedule=FILE."),
    ] = None,
    ablate: Annotated[
        bool, typer.Option("--ablate", help="Switch the techniques of spatten on one by one.")
    ] = False,
    explain: Explain = False,
    html: ReportFile = None,
    timeline: TimelineFile = None,
    timeline_window: TimelineWindow = None,
    json: Json = None,
    seed: Seed = 0,
) -> None:
    """Prune and trace a model, and simulate it beside the dense one on a machine.

    \b
    Example:
      accelsim run minilm --prune magnitude,2:8 --on sat --set dram.channels=2
      accelsim run gpt2-small --prune spatten,schedule=gpt2-small --on spatten --generate 8 --ablate
    """
    check_destination(json)
    check_page(html)
    window = check_timeline(timeline, timeline_window)
    check_destination(save_schedule, flag="--save-schedule")
    target = machine(on, settings)
    sat = target.accelerator if isinstance(target.accelerator, Sat) else None
    if save_schedule is not None and sat is None:
        raise ValueError(f"--save-schedule belongs to sat, and {on!r} has no configuration words")
    source = Source(
        model=model,
        recipes=prune or [],
        text=text,
        shape=shape,
        tokens=tokens,
        batch=batch,
        generate=generate,
        skip_prompt=skip_prompt,
        seed=seed,
        train=train,
        scores=_decide([target]),
    )
    if evaluate and train:
        raise ValueError("--evaluate belongs to a forward pass, not to --train")
    if evaluate and source.is_workload:
        raise ValueError(f"--evaluate needs a model, not the workload file {model!r}")
    if evaluate and source.is_network:
        raise ValueError(f"--evaluate needs a model with weights; of {model!r} only the shapes are known")
    if ablate:
        check_ablation(source, target)
    if samples is not None and not evaluate:
        raise ValueError(f"--samples belongs to --evaluate, and {samples} samples are asked for without it")
    watch = Stopwatch()
    workload = source.workload()
    watch.lap("read" if source.is_workload else "loaded and traced")
    evaluation = source.evaluation(samples) if evaluate else None
    if evaluation is not None:
        watch.lap("fetched")
    with progress(f"{workload.model} on {on}") as advance:
        report = run(workload, target.accelerator, preset=target.preset, progress=advance)
    watch.lap("simulated")
    if ablate:
        report = ablated(source, target, report, evaluation)
        watch.lap("ablated")
    elif evaluation is not None:
        report = replace(report, accuracy=source.accuracy(evaluation))
        watch.lap("evaluated")
    watch.say(workload.model)
    write_page(html, [report])
    write_timeline(timeline, workload, target.accelerator, report, window)
    if save_schedule is not None and sat is not None:
        schedule.save(save_schedule, sat, [report, *filter(None, [report.baseline])])
    show(report, json, explain=explain)


def trace_model(
    model: Model,
    out: Annotated[str, typer.Option("-o", "--out", metavar="FILE", help="The workload file to write.")],
    prune: Prune = None,
    text: Text = None,
    shape: Shape = None,
    tokens: Tokens = None,
    batch: Batch = 1,
    generate: Generate = None,
    train: Train = False,
    scores: Scores = False,
    skip_prompt: SkipPrompt = False,
    seed: Seed = 0,
) -> None:
    """Prune and trace a model, and save the workload for `accelsim run FILE.npz`.

    \b
    Example:
      accelsim trace minilm --prune magnitude,2:4 -o minilm.npz
    """
    check_destination(out, flag="-o")
    source = Source(
        model=model,
        recipes=prune or [],
        text=text,
        shape=shape,
        tokens=tokens,
        batch=batch,
        generate=generate,
        skip_prompt=skip_prompt,
        seed=seed,
        train=train,
        scores=scores,
    )
    workload = source.workload()
    workload.save(out)
    layers = f"{len(workload.layers)} layer{'' if len(workload.layers) == 1 else 's'}"
    typer.echo(f"{out}: {workload.model}, {layers}, {workload.macs:,} multiply-accumulates")


def compare(
    model: Model,
    on: Annotated[str, typer.Option("--on", metavar="A,B,C", help="Machines; see `accelsim accelerators`.")],
    prune: Prune = None,
    text: Text = None,
    shape: Shape = None,
    tokens: Tokens = None,
    batch: Batch = 1,
    generate: Generate = None,
    skip_prompt: SkipPrompt = False,
    html: ReportFile = None,
    json: Json = None,
    seed: Seed = 0,
) -> None:
    """Simulate one model on several machines, side by side.

    \b
    Example:
      accelsim compare minilm --prune magnitude,2:4 --on stc:a100,sat,systolic:32
    """
    check_destination(json)
    check_page(html)
    targets = [machine(name.strip()) for name in on.split(",")]
    source = Source(
        model=model,
        recipes=prune or [],
        text=text,
        shape=shape,
        tokens=tokens,
        batch=batch,
        generate=generate,
        skip_prompt=skip_prompt,
        seed=seed,
        scores=_decide(targets),
    )
    workload = source.workload()
    reports = []
    for target in targets:
        with progress(f"{workload.model} on {target.accelerator.name}") as advance:
            reports.append(run(workload, target.accelerator, preset=target.preset, progress=advance))
    write_page(html, reports, several=True)
    show_all(reports, json)


def _decide(targets: Sequence[Machine]) -> bool:
    """Whether one of the machines decides on Q, K and scores."""
    return any(ACCELERATORS[target.accelerator.name].decides for target in targets)


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
    generate: int | None = None
    skip_prompt: bool = False
    train: bool = False
    scores: bool = False

    def __post_init__(self) -> None:
        if self.train and self.generate is not None:
            raise ValueError(f"--generate cannot be {self.generate} with --train: a step has one pass")

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
        return load(
            self.model,
            seed=self.seed,
            tokens=self.tokens,
            input_shape=self.shape,
            text=self.text,
            batch=self.batch,
        )

    @cached_property
    def pruning(self) -> tuple[Recipe, ...]:
        """The recipes; those that need it are calibrated, once for the trace and the evaluation."""
        from accelsim.accuracy.calibration import calibration
        from accelsim.prune import fitted, parse_all

        recipes = parse_all(self.recipes)
        if self.is_workload or self.is_network or self.train:
            return recipes
        with self._foreign_code(), step(f"{self.model}: loading", lines=False):
            model = self.loaded
        with self._foreign_code():
            samples = calibration(model, recipes, seed=self.seed, text=self.text)
            with progress(f"{self.model}: pruning", what="layers") as advance:
                return fitted(model.module, recipes, samples, advance)

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
        with self._foreign_code(), step(f"{self.model}: loading", lines=False):
            model = self.loaded
        return replace(self._recorded(model, recipes), words=model.words)

    def _recorded(self, model: LoadedModel, recipes: Sequence[str | Recipe] | None) -> Workload:
        from accelsim.trace import trace

        if self.train:
            from accelsim.training import trace_step

            with self._foreign_code(), step(f"{self.model}: tracing a training step"):
                return trace_step(
                    model.module, model.inputs, self.recipes or None, name=model.name, notes=model.notes
                )
        with self._foreign_code(), step(f"{self.model}: tracing"):
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
        from accelsim.accuracy import prepare

        with self._foreign_code(), step(f"{self.model}: fetching what it is evaluated on"):
            return prepare(self.loaded, self.pruning or None, seed=self.seed, samples=samples)

    def accuracy(self, evaluation: Evaluation) -> Accuracy:
        """Measure it, dense and pruned."""
        return self.accuracies(evaluation, [evaluation.recipes])[0]

    def accuracies(self, evaluation: Evaluation, several: Sequence[Sequence[Recipe]]) -> list[Accuracy]:
        """Measure it, dense and under each set of recipes."""
        with (
            self._foreign_code(),
            progress(f"{self.model}: evaluating", what="samples") as advance,
        ):
            return evaluation.measure_each(several, advance)

    @contextlib.contextmanager
    def _foreign_code(self) -> Iterator[None]:
        """While the model's own code runs: what it prints goes to stderr, and it cannot end the program."""
        try:
            with contextlib.redirect_stdout(sys.stderr):
                yield
        except SystemExit as error:
            raise ValueError(f"model {self.model!r} must return, not exit with status {error.code}") from None

    def _drawn(self, recipes: Sequence[str | Recipe] | None) -> Workload:
        from accelsim.models import network

        if self.text is not None:
            raise ValueError(
                f"--text needs a model with a tokenizer; of {self.model!r} only shapes are known"
            )
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
