"""What a finished run leaves in its folder: the model, its curves and the workload of a training step."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save as as_safetensors
from torch import nn

from accelsim.files import remove_left_drafts, replaced, write_atomically
from accelsim.models.trained import CONFIGURATION, MODEL_TYPE, WEIGHTS, network
from accelsim.prune import NmTraining
from accelsim.stages import Optimiser
from accelsim.training.loop import Run, first_batch
from accelsim.training.step import trace_step
from accelsim.workload import Workload

CURVES, STEP, CHECKPOINT = "curves.csv", "step.npz", "checkpoint.pt"
FILES = (WEIGHTS, CONFIGURATION, CURVES, STEP, CHECKPOINT)


def clear(folder: Path) -> None:
    """Take away what a process that was killed left half-written in a run's folder."""
    remove_left_drafts(folder / name for name in FILES)


def save(run: Run, folder: Path) -> None:
    """Write all files of a run, each whole or not at all. The weights are the dense ones."""
    state = {name: value.contiguous() for name, value in run.module.state_dict().items()}
    # `save_file` would leave a draft under a name of its own if the process is killed.
    replaced(folder / WEIGHTS, lambda draft: draft.write_bytes(as_safetensors(state)))
    named = {"model_type": MODEL_TYPE, "network": run.settings.network, "dataset": run.module.dataset}
    named |= run.form
    write_atomically(folder / CONFIGURATION, json.dumps(named, indent=2) + "\n")
    write_atomically(folder / CURVES, _table(run))
    step_of(run).save(folder / STEP)


def step_of(run: Run) -> Workload:
    """The workload of a step on the run's first batch, masks and loss scale as the last step left them."""
    settings, kind = run.settings, network(run.settings.network)
    pictures, labels = first_batch(settings)
    recipe = settings.recipe if isinstance(settings.recipe, NmTraining) else None
    pattern = settings.words
    return trace_step(
        run.module,
        pictures,
        recipe,
        name=f"{settings.network} {pattern}",
        notes=(f"Fashion-MNIST, batch {len(pictures)}, seed {settings.seed}, after {run.epoch} epochs",),
        optimiser=Optimiser(
            state=1,  # the momentum
            weight_decay=kind.weight_decay > 0,
            decay=bool(recipe and recipe.decay),
            loss_scale=max(1, int(run.scaler.get_scale())),
            skipped=run.skipped_last,
        ),
        loss=lambda module, given: _loss(module, given, labels),
    )


def _loss(module: nn.Module, given: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(module(given), labels)


def _table(run: Run) -> str:
    """One line an epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(asdict(run.rows[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in run.rows)
    return text.getvalue()
