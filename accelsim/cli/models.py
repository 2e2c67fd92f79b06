"""`run`, `trace` and `compare`: a model, pruned or as it is, on one machine or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

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
    write_page,
    write_timeline,
)
from accelsim.cli.source import MOST_ELEMENTS, Source
from accelsim.run import run

MOST_COPIES = 65536
MOST_SAMPLES = 10**6

Model = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="A name, a folder, a workload .npz, or module.py:factory."),
]
Text = Annotated[str | None, typer.Option("--text", metavar="FILE", help="Text to run the model on.")]
Image = Annotated[str | None, typer.Option("--image", metavar="FILE", help="Picture to run the model on.")]
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
    image: Image = None,
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
        image=image,
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
    # The timeline is last: whether its window lies in the run is known only now.
    show(report, json, explain=explain)
    write_page(html, [report])
    if save_schedule is not None and sat is not None:
        schedule.save(save_schedule, sat, [report, *filter(None, [report.baseline])])
    write_timeline(timeline, workload, target.accelerator, report, window)


def trace_model(
    model: Model,
    out: Annotated[str, typer.Option("-o", "--out", metavar="FILE", help="The workload file to write.")],
    prune: Prune = None,
    text: Text = None,
    image: Image = None,
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
        image=image,
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
    image: Image = None,
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
    targets = _different([name.strip() for name in on.split(",")])
    source = Source(
        model=model,
        recipes=prune or [],
        text=text,
        image=image,
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


def _different(names: Sequence[str]) -> list[Machine]:
    """The machines of these names. ValueError for two names of one, which would be the same column twice."""
    targets: list[Machine] = []
    for name in names:
        target = machine(name)
        for first, known in zip(names, targets, strict=False):
            if known.accelerator == target.accelerator:
                raise ValueError(f"--on must name each machine once, not {first!r} and {name!r}")
        targets.append(target)
    return targets


def _decide(targets: Sequence[Machine]) -> bool:
    """Whether one of the machines decides on Q, K and scores."""
    return any(ACCELERATORS[target.accelerator.name].decides for target in targets)
