"""Training of a small network on Fashion-MNIST: equal settings give equal bits, resumed or not.

Products are FP32 and masks are those of the FP16 copy. The loss is scaled as in mixed precision: a step with
Inf or NaN in its gradients is skipped, the scale halved, and the skip counted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from accelsim.datasets import fashion_mnist
from accelsim.models.trained import made, network
from accelsim.prune import NmTraining
from accelsim.training import checkpoint
from accelsim.training.courses import STATISTICS_SHARE, Course, course_of, estimate_norms
from accelsim.training.forms import Trained, form_of
from accelsim.training.masking import Masking

Progress = Callable[[str, int, int], None]
"""Told where the run is, steps done and steps in all."""

WARM_UP = 0.2  # of the steps, in which the learning rate rises; then it falls to nothing
MOMENTUM = 0.9
SCALE, GROWTH_STEPS = 2.0**16, 2000
MOST_SKIPPED = 50  # steps in a row before the run is given up
TEST_BATCH = 500


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run depends on. `samples`: the first so many pictures of the training set.

    `epochs`: of one training; a schedule of `recipe` may ask for several (`accelsim.training.courses`).
    """

    network: str
    recipe: Trained | None = None
    epochs: int = 3
    seed: int = 0
    samples: int = 60_000
    batch: int = 128
    test_samples: int = 10_000

    def __post_init__(self) -> None:
        network(self.network)
        limits = {"epochs": 10_000, "samples": 60_000, "batch": self.samples, "test_samples": 10_000}
        for name, most in limits.items():
            if not 1 <= (value := getattr(self, name)) <= most:
                raise ValueError(f"{name} must be from 1 to {most}, not {value}")

    @property
    def words(self) -> str:
        """The recipe, as a user writes it; `dense` without one."""
        if isinstance(self.recipe, NmTraining):
            return self.recipe.words
        return str(self.recipe) if self.recipe else "dense"

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches; a ragged last one is left out."""
        return self.samples // self.batch

    def plain(self) -> dict[str, Any]:
        """As a checkpoint holds them."""
        return {**asdict(self), "recipe": asdict(self.recipe) if self.recipe else None}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One epoch: mean training loss of the steps that counted, test accuracy, skipped steps, loss scale.

    `kept`: of the weights that a schedule cuts. A mean of several networks takes no steps, and has the loss
    of the epoch before.
    """

    epoch: int
    loss: float
    accuracy: float
    skipped_steps: int
    loss_scale: int
    kept: float = 1.0


@dataclass
class Run:
    """One network on its way: module, optimiser, scaler and the epochs so far.

    `form`: what of it is not as its name says (`accelsim.models.trained.made`). `skipped_last`: the last step
    had Inf or NaN in its gradients.
    """

    settings: Settings
    module: nn.Module
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    masking: Masking | None
    course: Course
    form: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0
    skipped_last: bool = False
    rows: list[Row] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        """All epochs are over."""
        return self.epoch >= self.course.epochs

    def state(self) -> dict[str, Any]:
        """All that the rest of the run depends on."""
        return {
            "settings": self.settings.plain(),
            "epoch": self.epoch,
            "module": self.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "skipped_last": self.skipped_last,
            "rows": [asdict(row) for row in self.rows],
            "course": self.course.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state of the same settings."""
        self.module.load_state_dict(state["module"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.epoch = int(state["epoch"])
        self.skipped_last = bool(state["skipped_last"])
        self.rows = [Row(**row) for row in state["rows"]]
        self.course.restore(state["course"])


def start(settings: Settings) -> Run:
    """A run before its first step, its weights drawn from the seed. ValueError if no layer is pruned."""
    kind = network(settings.network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        module = kind.make()
        form = form_of(module, settings.network, settings.recipe, lambda: first_batch(settings)[0])
        if form:
            torch.manual_seed(settings.seed)
            module = made(settings.network, form)
    recipe = settings.recipe
    masking = Masking(module, recipe) if isinstance(recipe, NmTraining) else None
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE, growth_interval=GROWTH_STEPS)
    optimiser = torch.optim.SGD(
        module.parameters(), lr=kind.learning_rate, momentum=MOMENTUM, weight_decay=kind.weight_decay
    )
    return Run(
        settings=settings,
        module=module,
        optimiser=optimiser,
        scaler=scaler,
        masking=masking,
        course=course_of(recipe, settings.epochs),
        form=form,
    )


def train(
    run: Run,
    file: Path | None,
    progress: Progress | None = None,
    ended: Callable[[Row], None] | None = None,
) -> None:
    """All epochs that are left; `file` gets a checkpoint after each, and `ended` is told.

    DatasetError without the pictures; ValueError if the gradients are not finite for long.
    """
    pictures, labels = _data(run.settings.samples, training=True)
    test = _data(run.settings.test_samples, training=False)
    while not run.is_done:
        run.course.begin(run, lambda: [first_batch(run.settings)[0]])
        with run.masking or contextlib.nullcontext():
            if run.course.at(run.epoch)[0].mean:
                estimate_norms(run.module, _some(run, pictures))
                loss, skipped = run.rows[-1].loss, 0
            else:
                loss, skipped = _epoch(run, pictures, labels, progress)
            accuracy = _accuracy(run, *test)
        run.course.end(run)
        run.epoch += 1
        row = Row(
            epoch=run.epoch,
            loss=loss,
            accuracy=accuracy,
            skipped_steps=skipped,
            loss_scale=int(run.scaler.get_scale()),
            kept=run.course.kept,
        )
        run.rows.append(row)
        if file is not None:
            checkpoint.save(file, run.state())
        if ended:
            ended(row)


def first_batch(settings: Settings) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures and labels of the first step."""
    pictures, labels = _data(settings.samples, training=True)
    chosen = _order(settings, 0)[: settings.batch]
    return pictures[chosen], labels[chosen]


def _epoch(
    run: Run, pictures: torch.Tensor, labels: torch.Tensor, progress: Progress | None
) -> tuple[float, int]:
    """One pass over the pictures in an order of its own: mean loss, and how many steps were skipped."""
    settings, steps = run.settings, run.settings.steps_per_epoch
    order = _order(settings, run.epoch)
    losses: list[float] = []
    in_a_row = skipped = 0
    run.module.train()
    for step in range(steps):
        if progress:
            progress(f"epoch {run.epoch + 1}", run.epoch * steps + step, run.course.epochs * steps)
        share = run.course.share(run.epoch, settings.epochs, step / steps)
        run.course.before_step(run, share, lambda: [first_batch(settings)[0]])
        _set_rate(run, share)
        chosen = order[step * settings.batch : (step + 1) * settings.batch]
        loss, counted = train_step(run, pictures[chosen], labels[chosen])
        if counted:
            losses.append(loss)
        in_a_row = 0 if counted else in_a_row + 1
        skipped += not counted
        if in_a_row > MOST_SKIPPED:
            raise ValueError(
                f"gradients of {settings.network} must be finite: {in_a_row} steps in a row had Inf or NaN "
                f"(seed {settings.seed}, epoch {run.epoch + 1})"
            )
    return sum(losses) / max(1, len(losses)), skipped


def train_step(run: Run, pictures: torch.Tensor, labels: torch.Tensor) -> tuple[float, bool]:
    """Masks anew, forward, backward, update: the loss, and whether the step counted or was skipped."""
    if run.masking is not None:
        run.masking.remake()
    run.optimiser.zero_grad(set_to_none=True)
    loss = nn.functional.cross_entropy(run.module(pictures), labels)
    run.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    run.scaler.unscale_(run.optimiser)
    if run.masking is not None:
        run.masking.add_decay()
    scale = run.scaler.get_scale()
    run.scaler.step(run.optimiser)
    run.scaler.update()
    run.course.hold(run)
    run.skipped_last = run.scaler.get_scale() < scale
    return float(loss.detach()), not run.skipped_last


@torch.no_grad()
def _accuracy(run: Run, pictures: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of right classes, with the forward weights of now."""
    if run.masking is not None:
        run.masking.remake()
    run.module.eval()
    right = 0
    for start in range(0, len(pictures), TEST_BATCH):
        batch = slice(start, start + TEST_BATCH)
        right += int((run.module(pictures[batch]).argmax(1) == labels[batch]).sum())
    return right / len(pictures)


def _some(run: Run, pictures: torch.Tensor) -> list[torch.Tensor]:
    """A share of the pictures in batches, for the statistics of norms."""
    batch = run.settings.batch
    return list(torch.split(pictures[: max(batch, int(STATISTICS_SHARE * len(pictures)))], batch))


def _data(samples: int, *, training: bool) -> tuple[torch.Tensor, torch.Tensor]:
    data = fashion_mnist(training=training)
    pictures = torch.from_numpy(data.pictures[:samples])[:, None].float() / 255
    return pictures, torch.from_numpy(data.labels[:samples]).long()


def _order(settings: Settings, epoch: int) -> torch.Tensor:
    """The pictures' order in one epoch: of the seed and the epoch alone, so that no state need be kept."""
    generator = torch.Generator().manual_seed((settings.seed * 10_007 + epoch) % 2**63)
    return torch.randperm(settings.samples, generator=generator)


def _set_rate(run: Run, share: float) -> None:
    """The learning rate when `share` of all steps are done: a ramp up, then one down."""
    highest = network(run.settings.network).learning_rate
    rate = highest * min(share / WARM_UP, (1 - share) / (1 - WARM_UP))
    for group in run.optimiser.param_groups:
        group["lr"] = rate
