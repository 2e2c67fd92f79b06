"""`train`: a small real network, dense or under N:M pruning, with its curves and its training workload."""

from __future__ import annotations

import statistics
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accelsim.cli.options import LARGEST_SEED, Json, count_option
from accelsim.cli.output import check_destination, progress, write_json
from accelsim.files import as_json, remove_left_drafts, write_atomically

if TYPE_CHECKING:
    from accelsim.training.loop import Row, Run, Settings

SUMMARY, PLOT = "summary.json", "curves.png"


def add_commands(app: typer.Typer) -> None:
    """Put the commands of this file on the command line."""
    app.command("train")(train)


def train(
    network: Annotated[str, typer.Argument(metavar="NAME", help="resnet9 or vit.")],
    out: Annotated[str, typer.Option("-o", "--out", metavar="FOLDER", help="The folder to write.")],
    prune: Annotated[
        str | None,
        typer.Option(
            "--prune", metavar="RECIPE", help="bdwp,2:8; depth,0.5; magnitude,global,0.1,iterative."
        ),
    ] = None,
    epochs: Annotated[int, count_option("--epochs", "Passes over the pictures.", most=10_000)] = 3,
    seeds: Annotated[str, typer.Option("--seeds", metavar="N,N", help="One run for each.")] = "0",
    samples: Annotated[
        int, count_option("--samples", "Training pictures, from the first on.", most=60_000)
    ] = 60_000,
    batch: Annotated[int, count_option("--batch", "Pictures in a step.", most=60_000)] = 128,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoints in FOLDER.")] = False,
    json: Json = None,
) -> None:
    """Train a small network on Fashion-MNIST; save it, its curves and the workload of a training step.

    \b
    Example:
      accelsim train resnet9 --prune bdwp,2:8 --epochs 3 --seeds 0,1,2 -o trained
      accelsim train vit --prune magnitude,global,0.1,iterative --epochs 4 -o ticket
    """
    check_destination(json)
    from accelsim.extras import require

    require("train", "torch")
    from accelsim.models.trained import network as known_network
    from accelsim.training.forms import trained_recipe
    from accelsim.training.loop import Settings

    known_network(network)
    recipe = trained_recipe(prune)
    runs = [
        Settings(network=network, recipe=recipe, epochs=epochs, seed=seed, samples=samples, batch=batch)
        for seed in _seeds(seeds)
    ]
    folder = _folder(out, resume=resume)
    remove_left_drafts([folder / SUMMARY, folder / PLOT])
    done = [_trained(settings, folder / f"seed-{settings.seed}") for settings in runs]
    summary = _summary(done)
    write_atomically(folder / SUMMARY, as_json(summary))
    _plot(folder / PLOT, done)
    if not write_json(summary, json):
        _print(summary, out)


def _trained(settings: Settings, folder: Path) -> Run:
    """One run, from its checkpoint on if it has one."""
    from accelsim.training import checkpoint, loop, saving

    run = loop.start(settings)
    file = folder / saving.CHECKPOINT
    state = checkpoint.load(file, settings.plain())
    if state is not None:
        run.restore(state)
        _say(f"{settings.network}, seed {settings.seed}: goes on after epoch {run.epoch}")
    folder.mkdir(exist_ok=True)
    saving.clear(folder)
    name = f"{settings.network}, seed {settings.seed}"

    def ended(row: Row) -> None:
        _say(
            f"{name}, epoch {row.epoch}: loss {row.loss:.4f}, accuracy {row.accuracy:.4f}, "
            f"{row.skipped_steps} steps skipped, loss scale {row.loss_scale}"
            + (f", {row.kept:.3f} of the weights kept" if row.kept < 1 else "")
        )

    with progress(name, what="steps") as advance:
        loop.train(run, file, advance, ended)
    saving.save(run, folder)
    return run


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _seeds(text: str) -> list[int]:
    """Whole numbers from 0, none twice."""
    words = text.split(",")
    if not all(word.isascii() and word.isdecimal() and int(word) <= LARGEST_SEED for word in words):
        raise ValueError(
            f"--seeds must be whole numbers from 0 to {LARGEST_SEED}, such as 0,1,2, not {text!r}"
        )
    seeds = [int(word) for word in words]
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"--seeds must differ, not {text!r}")
    return seeds


def _folder(out: str, *, resume: bool) -> Path:
    """The folder to write: new or empty, or with --resume any."""
    folder = Path(out)
    if not out or (folder.exists() and not folder.is_dir()) or not folder.parent.is_dir():
        raise ValueError(f"-o must be a folder, in one that exists, not {out!r}")
    if folder.is_dir() and any(folder.iterdir()) and not resume:
        raise ValueError(f"-o must be a new or an empty folder, or --resume be given: {out!r} has files")
    folder.mkdir(exist_ok=True)
    return folder


def _summary(runs: list[Run]) -> dict[str, Any]:
    """Every run's last row, and the mean and spread over the seeds."""
    settings, masking = runs[0].settings, runs[0].masking
    accuracies = [run.rows[-1].accuracy for run in runs]
    return {
        "network": settings.network,
        "parameters": sum(parameter.numel() for parameter in runs[0].module.parameters()),
        "prune": settings.words if settings.recipe else None,
        "left_dense": dict(masking.left_dense) if masking else None,
        "epochs": settings.epochs,
        "samples": settings.samples,
        "batch": settings.batch,
        "test_samples": settings.test_samples,
        "accuracy": {
            "mean": statistics.fmean(accuracies),
            "least": min(accuracies),
            "most": max(accuracies),
            "deviation": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        },
        "runs": [
            {
                "seed": run.settings.seed,
                "accuracy": run.rows[-1].accuracy,
                "loss": run.rows[-1].loss,
                "kept": run.rows[-1].kept,
                "skipped_steps": sum(row.skipped_steps for row in run.rows),
            }
            for run in runs
        ],
    }


def _plot(path: Path, runs: list[Run]) -> None:
    """The curves of all seeds, if there is matplotlib."""
    from dataclasses import asdict

    if find_spec("matplotlib") is None:
        _say("no plot of the curves: it needs pip install 'accelsim[plot]'; they are in curves.csv")
        return
    from accelsim import plot

    settings = runs[0].settings
    curves = {f"{settings.words} {run.settings.seed}": [asdict(row) for row in run.rows] for run in runs}
    title = f"{settings.network} on Fashion-MNIST"
    plot.curves(path, curves, title=title)


def _print(summary: dict[str, Any], out: str) -> None:
    typer.echo(f"{'seed':>6}  {'accuracy':>8}  {'loss':>7}  skipped steps")
    for run in summary["runs"]:
        typer.echo(
            f"{run['seed']:>6}  {run['accuracy']:>8.4f}  {run['loss']:>7.4f}  {run['skipped_steps']:>13}"
        )
    found = summary["accuracy"]
    typer.echo(f"  mean  {found['mean']:>8.4f}  from {found['least']:.4f} to {found['most']:.4f}")
    typer.echo(f"{out}: for each seed the model, curves.csv and step.npz (`accelsim run FILE --on sat`)")
