"""What a word of a recipe is: a name, a sentence, a source, and the settings that it takes. Needs no torch.

Every word of `scores`, `allocations`, `patterns` and `refinements` is one file with one constant `WORD`; what
it does to tensors is a function beside it, which imports torch when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from accelsim.prune.cut import Cut
    from accelsim.prune.network import Network
    from accelsim.prune.patterns.base import Amount
    from accelsim.prune.statistics import Seen

Setting = float | str
"""A number or a word."""

Settings = Mapping[str, Setting]

CALIBRATION: Settings = {"samples": 32, "length": 512}
"""Settings of every word that needs calibration: inputs, and tokens of each if it is a text."""


if TYPE_CHECKING:
    Choose = Callable[[torch.Tensor], torch.Tensor]
    Sweep = Callable[[torch.Tensor, Seen, Amount, Choose, Settings], tuple[torch.Tensor, torch.Tensor]]
    """From a dense weight, its inputs, how much stays, and the pattern (scores of some columns to their mask)
    to the weight that is left and its mask."""

STATISTICS = frozenset({"squares", "moments", "gram"})
"""What may be needed of a layer's inputs."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """One word. `settings`: names and defaults; a default's type is the setting's.

    `needs`: from calibration; STATISTICS of each layer's inputs, what the loss tells of its weights
    (`accelsim.prune.of_loss`), or just samples.
    `check(settings)`: ValueError for settings that mean nothing.
    """

    name: str
    sentence: str
    source: str
    settings: Settings = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    check: Callable[[Settings], object] | None = None

    @property
    def kind(self) -> str:
        """What sort of word it is, as a user would say it."""
        return type(self).__name__.lower()

    @property
    def line(self) -> str:
        """Kind, sentence, settings and source in one line."""
        given = ", ".join(
            f"{name}={value:g}" if isinstance(value, float | int) else f"{name}={value}"
            for name, value in self.settings.items()
        )
        return f"{self.kind}: {self.sentence}{f' [{given}]' if given else ''} ({self.source})"


@dataclass(frozen=True, kw_only=True)
class Score(Word):
    """How important a weight is. `of(weight, seen, settings)`: both tensors are (groups, rows, columns).

    Among the settings is `together`: so many consecutive columns go together, and the scores of these add up.
    `per`: among which weights an unstructured pattern compares: layer, row, or the block of columns at hand.
    `sweep`: the score changes weights while it goes, and chooses the mask on its way, for the `patterns` that
    it knows; `instead` says what to take for others.
    """

    of: Callable[[torch.Tensor, Seen, Settings], torch.Tensor]
    per: str = "layer"
    sweep: Sweep | None = None
    patterns: tuple[str, ...] = ()
    instead: str = ""


@dataclass(frozen=True, kw_only=True)
class Allocation(Word):
    """How much of each layer stays. `of(network, settings)`: by name of the layer.

    `sets_amounts`: a recipe with this word says no amount of its own.
    """

    of: Callable[[Network, Settings], dict[str, Amount]]
    sets_amounts: bool = False


@dataclass(frozen=True, kw_only=True)
class Refinement(Word):
    """What is done to a layer that is cut. `on(cut, settings)` changes its mask, weight or bias in place.

    `only`: the pattern that it needs, or empty. `restarts`: it begins at the dense weights and the mask that
    is there, so that what others made of the weights before is lost; `changes_mask`: it changes nothing else,
    and loses nothing to those. `fits(amount, settings)`: ValueError if settings do not go with an amount.
    """

    on: Callable[[Cut, Settings], None]
    only: str = ""
    restarts: bool = False
    changes_mask: bool = False
    fits: Callable[[Amount, Settings], object] | None = None


@dataclass(frozen=True, kw_only=True)
class Schedule(Word):
    """When what is removed, of a network that trains. It is the trainer's to do it."""


def number(settings: Settings, name: str) -> float:
    """A setting that is a number."""
    value: Any = settings[name]
    return float(value)


def whole(settings: Settings, name: str) -> int:
    """A setting that is a whole number."""
    return int(number(settings, name))
