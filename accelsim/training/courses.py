"""What a schedule does to a network that trains: cuts, masks that hold, rewinding, means of several.

A course is legs, each of whole epochs. Weights that are cut stay zero: after every step they, and their
momentum, are set to zero again. Biases, norms and whatever is no weight of a linear or convolution layer are
never cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from accelsim.prune.composed import Composed
from accelsim.prune.courses import SCHEDULES
from accelsim.prune.fitting import fit
from accelsim.prune.word import Settings, number, whole

if TYPE_CHECKING:
    from accelsim.training.loop import Run

State = dict[str, torch.Tensor]
"""Tensors of a module by name."""

STATISTICS_SHARE = 0.2
"""Of the pictures, from which the statistics of batch norms are taken again after a mean (as published)."""


@dataclass(frozen=True, kw_only=True)
class Leg:
    """`epochs` of a training from epoch `first` of its learning rates on; 0: no step is taken.

    `keep`: what stays at its beginning, of all weights. `rewinds`: to early weights. `member`: which of
    several that begin at the same weights; `mean`: they become one.
    """

    epochs: int
    keep: float = 1.0
    first: int = 0
    rewinds: bool = False
    member: int = 0
    mean: bool = False


@dataclass
class Course:
    """The legs of one run, and what they hand on.

    `masks`: of parameters that were cut. `early`: the state to go back to; `common`: that members begin at;
    `summed`: theirs, of so many `members`. `cuts`: of a gradual schedule.
    """

    legs: tuple[Leg, ...]
    recipe: Composed | None = None
    settings: Settings = field(default_factory=dict)
    masks: State = field(default_factory=dict)
    early: State = field(default_factory=dict)
    common: State = field(default_factory=dict)
    summed: State = field(default_factory=dict)
    members: int = 0
    cuts: int = 0

    @property
    def epochs(self) -> int:
        """Of all legs; a mean counts as one."""
        return sum(max(1, leg.epochs) for leg in self.legs)

    @property
    def _rewind(self) -> int:
        """After how many epochs the weights are those to go back to; -1: never."""
        return whole(self.settings, "rewind") if "rewind" in self.settings else -1

    def at(self, epoch: int) -> tuple[Leg, int]:
        """The leg of an epoch, and how many of its epochs came before."""
        ends = list(accumulate(max(1, leg.epochs) for leg in self.legs))
        place = next(index for index, end in enumerate(ends) if epoch < end)
        return self.legs[place], epoch - (ends[place - 1] if place else 0)

    def share(self, epoch: int, epochs: int, step_share: float) -> float:
        """How much of a training of `epochs` is done, for its learning rate."""
        leg, before = self.at(epoch)
        return (leg.first + before + step_share) / epochs

    def begin(self, run: Run, samples: Callable[[], list[Any]]) -> None:
        """Before an epoch: what its leg begins with."""
        leg, before = self.at(run.epoch)
        if before:
            return
        if run.epoch == 0 and self._rewind == 0:
            self.early = _copied(run.module)
        if leg.mean:
            self._average(run)
        elif leg.member > 0:
            _restart(run, self.common)
        elif leg.keep < 1:
            self.cut(run, leg.keep, samples())
            if leg.rewinds:
                _restart(run, self.early)
            else:
                run.optimiser.state.clear()
            self.common = _copied(run.module)
        self.hold(run)

    def before_step(self, run: Run, share: float, samples: Callable[[], list[Any]]) -> None:
        """Of a gradual schedule the cuts whose time has come."""
        if self.recipe is None or self.recipe.schedule != "gradual":
            return
        begin, end = number(self.settings, "begin"), number(self.settings, "end")
        times = whole(self.settings, "times")
        due = min(times, int((share - begin) / (end - begin) * times + 1e-9) + 1) if share >= begin else 0
        if due > self.cuts:
            self.cuts = due
            removed = (1 - self.recipe.keep) * (1 - (1 - due / times) ** 3)
            self.cut(run, 1 - removed, samples())
            self.hold(run)

    def cut(self, run: Run, keep: float, samples: list[Any]) -> None:
        """Weights and masks that the recipe leaves at this fraction."""
        assert self.recipe is not None
        recipe = self.recipe.cut
        found = fit(run.module, recipe if recipe.m else replace(recipe, keep=keep), samples)
        with torch.no_grad():
            for name, weight in found.weights.items():
                self.masks[f"{name}.weight"] = weight != 0
                run.module.get_submodule(name).weight.copy_(weight)  # type: ignore[operator]

    @torch.no_grad()
    def hold(self, run: Run) -> None:
        """What is cut is zero, its momentum too."""
        if not self.masks:
            return
        for name, parameter in run.module.named_parameters():
            if name in self.masks:
                parameter.mul_(self.masks[name])
                momentum = run.optimiser.state.get(parameter, {}).get("momentum_buffer")
                if momentum is not None:
                    momentum *= self.masks[name]

    def end(self, run: Run) -> None:
        """After an epoch: early weights are kept, a member's are added up."""
        leg, before = self.at(run.epoch)
        if run.epoch + 1 == self._rewind:
            self.early = _copied(run.module)
        last = before + 1 == leg.epochs
        if last and self.recipe is not None and self.recipe.schedule == "soup" and leg.keep < 1:
            now = _copied(run.module)
            self.summed = {name: self.summed[name] + now[name] if self.summed else now[name] for name in now}
            self.members += 1

    @property
    def kept(self) -> float:
        """Fraction of the weights with masks that is left; 1 before the first cut."""
        total = sum(mask.numel() for mask in self.masks.values())
        return sum(int(mask.sum()) for mask in self.masks.values()) / total if total else 1.0

    def state(self) -> dict[str, Any]:
        """All that the legs hand on, for a checkpoint."""
        kept = ("masks", "early", "common", "summed", "members", "cuts")
        return {name: getattr(self, name) for name in kept}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of the same course."""
        for name, value in state.items():
            setattr(self, name, value)

    def _average(self, run: Run) -> None:
        """The members' mean; norms over batches see pictures anew, or the mean would be none of a network."""
        mean = {name: total / self.members for name, total in self.summed.items()}
        run.module.load_state_dict({**mean, **_counters(run.module)})
        run.optimiser.state.clear()
        self.summed, self.members = {}, 0
        self.common = {}


@torch.no_grad()
def estimate_norms(module: nn.Module, batches: list[torch.Tensor]) -> None:
    """Means and variances of batch norms from these pictures alone, each batch counting the same."""
    norms = [child for child in module.modules() if isinstance(child, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    training = module.training
    module.train()
    for batch in batches:
        module(batch)
    module.train(training)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum


def course_of(recipe: object, epochs: int) -> Course:
    """The legs that a schedule makes of trainings of so many epochs; one without a schedule."""
    if not isinstance(recipe, Composed) or not recipe.schedule:
        return Course(legs=(Leg(epochs=epochs),))
    word = SCHEDULES[recipe.schedule]
    settings = {name: value for name, value in recipe.set(word).items() if name in word.settings}
    legs = {"oneshot": _oneshot, "gradual": _gradual, "iterative": _iterative, "soup": _soup}[word.name]
    return Course(legs=legs(recipe, epochs, settings), recipe=recipe, settings=settings)


def _oneshot(recipe: Composed, epochs: int, settings: Settings) -> tuple[Leg, ...]:
    return Leg(epochs=epochs), Leg(epochs=epochs, keep=_final(recipe))


def _gradual(recipe: Composed, epochs: int, settings: Settings) -> tuple[Leg, ...]:
    return (Leg(epochs=epochs),)


def _iterative(recipe: Composed, epochs: int, settings: Settings) -> tuple[Leg, ...]:
    rounds, rewind = whole(settings, "rounds"), whole(settings, "rewind")
    if rewind >= epochs:
        raise ValueError(f"rewind must be below the {epochs} epochs of a round, not {rewind}")
    keeps = [recipe.keep ** (index / rounds) for index in range(1, rounds + 1)]
    return (
        Leg(epochs=epochs),
        *(Leg(epochs=epochs - rewind, first=rewind, keep=keep, rewinds=True) for keep in keeps),
    )


def _soup(recipe: Composed, epochs: int, settings: Settings) -> tuple[Leg, ...]:
    phases, members = whole(settings, "phases"), whole(settings, "members")
    legs = [Leg(epochs=epochs)]
    for phase in range(1, phases + 1):
        keep = recipe.keep ** (phase / phases)
        legs += [Leg(epochs=epochs, keep=keep, member=member) for member in range(members)]
        legs.append(Leg(epochs=0, keep=keep, mean=True))
    return tuple(legs)


def _final(recipe: Composed) -> float:
    """What one cut leaves; of N:M any fraction below 1 says that there is a cut."""
    return recipe.n / recipe.m if recipe.m else recipe.keep


def _copied(module: nn.Module) -> State:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def _counters(module: nn.Module) -> State:
    """What of a state is a whole number."""
    return {name: value for name, value in module.state_dict().items() if not value.is_floating_point()}


def _restart(run: Run, state: State) -> None:
    """These weights, and an optimiser that has seen no step."""
    run.module.load_state_dict(state)
    run.optimiser.state.clear()
