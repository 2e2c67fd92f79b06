"""A compressed student learns from its dense teacher: hard labels, soft logits and features, mixed.

After GPUSQ-ViT (arXiv 2305.10727): loss = hard CE + soft KL + features MSE; with a feature's weight in
proportion to what of it was still missing when the sparse student had learnt (`factors`). Where the paper is
silent (weights of the three terms, temperature, optimiser) the defaults here are choices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Weights of the loss terms and how long to learn. `hard` 0 needs no labels.

    `features`: names of the modules whose outputs the student is to repeat.
    """

    features: tuple[str, ...]
    hard: float = 1.0
    soft: float = 1.0
    feature: float = 1.0
    temperature: float = 2.0
    epochs: int = 2
    batch: int = 128
    learning_rate: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("hard", "soft", "feature"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be >= 0, not {getattr(self, name)}")
        if self.hard + self.soft + self.feature == 0:
            raise ValueError("hard, soft and feature must not all be 0: nothing would be learnt")
        for name in ("temperature", "learning_rate", "epochs", "batch"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be > 0, not {getattr(self, name)}")


def distil(
    student: nn.Module,
    teacher: nn.Module,
    pictures: torch.Tensor,
    labels: torch.Tensor,
    settings: Settings,
    factors: Sequence[float] | None = None,
    progress: Progress | None = None,
) -> list[float]:
    """Train the student in place; what is still missing of each feature, as means over the last epoch.

    A feature's error is its MSE over the teacher's mean square. ValueError for features that a model has not.
    """
    weights = list(factors) if factors is not None else [1.0] * len(settings.features)
    if len(weights) != len(settings.features):
        raise ValueError(
            f"factors must be {len(settings.features)}, one for each feature, not {len(weights)}"
        )
    optimiser = torch.optim.Adam(student.parameters(), lr=settings.learning_rate)
    generator = torch.Generator().manual_seed(settings.seed)
    steps = -(-len(pictures) // settings.batch)
    student.train()
    teacher.eval()
    missing = torch.zeros(len(weights))
    with _Features(student, settings.features) as ours, _Features(teacher, settings.features) as theirs:
        for epoch in range(settings.epochs):
            order = torch.randperm(len(pictures), generator=generator)
            missing.zero_()
            for step in range(steps):
                at = epoch * steps + step
                _set_rate(optimiser, settings, at / (settings.epochs * steps))
                chosen = order[step * settings.batch : (step + 1) * settings.batch]
                with torch.no_grad():
                    wanted = teacher(pictures[chosen])
                logits = student(pictures[chosen])
                errors = _errors(ours.seen, theirs.seen)
                loss = _mixed(logits, wanted, labels[chosen], errors, weights, settings)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                missing += torch.stack([error.detach() for error in errors]) if errors else 0
                if progress:
                    progress(at + 1, settings.epochs * steps)
    return [float(value) for value in missing / steps]


def aware(missing: Sequence[float]) -> list[float]:
    """Factors in proportion to what was missing, one in the mean: the sparse-distillation-aware weights."""
    mean = sum(missing) / max(1, len(missing))
    return [value / mean for value in missing] if mean > 0 else [1.0] * len(missing)


@torch.no_grad()
def accuracy(module: nn.Module, pictures: torch.Tensor, labels: torch.Tensor, batch: int = 500) -> float:
    """Share of right classes."""
    module.eval()
    right = 0
    for start in range(0, len(pictures), batch):
        part = slice(start, start + batch)
        right += int((module(pictures[part]).argmax(1) == labels[part]).sum())
    return right / len(pictures)


def _mixed(
    logits: torch.Tensor,
    wanted: torch.Tensor,
    labels: torch.Tensor,
    errors: list[torch.Tensor],
    weights: list[float],
    settings: Settings,
) -> torch.Tensor:
    loss = logits.new_zeros(())
    if settings.hard:
        loss = loss + settings.hard * nn.functional.cross_entropy(logits, labels)
    if settings.soft:
        warm = settings.temperature
        divergence = nn.functional.kl_div(
            (logits / warm).log_softmax(1),
            (wanted / warm).log_softmax(1),
            reduction="batchmean",
            log_target=True,
        )
        loss = loss + settings.soft * warm**2 * divergence
    for error, weight in zip(errors, weights, strict=True):
        loss = loss + settings.feature * weight * error
    return loss


def _errors(ours: Sequence[torch.Tensor], theirs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    return [
        (student - teacher).square().mean() / teacher.square().mean().clamp_min(1e-12)
        for student, teacher in zip(ours, theirs, strict=True)
    ]


def _set_rate(optimiser: torch.optim.Optimizer, settings: Settings, share: float) -> None:
    """From the full rate down to nothing along half a cosine."""
    rate = settings.learning_rate * 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * share))))
    for group in optimiser.param_groups:
        group["lr"] = rate


class _Features:
    """A context that keeps the last outputs of the named modules, in this order."""

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        known = dict(module.named_modules())
        for name in names:
            if name not in known:
                raise ValueError(f"feature must be a module of {type(module).__name__}, not {name!r}")
        self._modules = [known[name] for name in names]
        self._outputs: dict[int, torch.Tensor] = {}
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    @property
    def seen(self) -> list[torch.Tensor]:
        """One tensor for each name."""
        return [self._outputs[index] for index in range(len(self._modules))]

    def __enter__(self) -> _Features:
        for index, module in enumerate(self._modules):

            def keep(_module: nn.Module, _given: object, output: torch.Tensor, index: int = index) -> None:
                self._outputs[index] = output

            self._hooks.append(module.register_forward_hook(keep))
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()
