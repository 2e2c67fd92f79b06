"""The network as allocations see it: layers, how much is to stay, scores and losses of the dense model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import nn

from accelsim.prune.blocks import without_cache
from accelsim.prune.composed import Composed
from accelsim.prune.losses import Loss, loss_of
from accelsim.prune.matrices import Matrix
from accelsim.prune.statistics import Seen, watching
from accelsim.prune.word import Score

Told = Callable[[str, int, int], None]
"""What is done, how much of it, of how much."""


@dataclass
class Network:
    """A dense module with the layers that a recipe will cut, and the samples that calibrate it.

    `of_loss`: what the loss tells of the dense weights, by what it is and by layer.
    """

    module: nn.Module
    recipe: Composed
    matrices: Sequence[Matrix]
    samples: Sequence[Any]
    told: Told
    of_loss: dict[str, Mapping[str, torch.Tensor]] = field(default_factory=dict)

    @property
    def keep(self) -> float:
        """Fraction of all weights that is to stay."""
        return self.recipe.keep

    @property
    def sizes(self) -> dict[str, int]:
        """Weights of each layer."""
        return {matrix.name: matrix.size for matrix in self.matrices}

    @cached_property
    def seen(self) -> dict[str, Seen]:
        """Statistics of every layer of the dense model, all from one pass over the samples."""
        return dense_statistics(self.module, self.matrices, self.samples, self.recipe.statistics, self.told)

    @cached_property
    def loss(self) -> Loss:
        """What a forward pass on a sample costs."""
        return loss_of(self.module)

    def seen_of(self, matrix: Matrix) -> Seen:
        """Statistics of one layer of the dense model, as far as the recipe needs any."""
        seen = self.seen[matrix.name] if self.recipe.statistics else Seen(name=matrix.name)
        return seen.with_loss(self.loss_facts(matrix))

    def loss_facts(self, matrix: Matrix) -> dict[str, torch.Tensor]:
        """What the loss tells of one layer's weight."""
        return {what: found[matrix.name] for what, found in self.of_loss.items()}

    def scores(self, matrix: Matrix) -> torch.Tensor:
        """How important each weight of a layer is, by the recipe's score on the dense model."""
        word = self.recipe.words[1]
        assert isinstance(word, Score)
        return word.of(matrix.read(), self.seen_of(matrix), self.recipe.scoring(self.module))


def dense_statistics(
    module: nn.Module, matrices: Sequence[Matrix], samples: Sequence[Any], needs: frozenset[str], told: Told
) -> dict[str, Seen]:
    """Of every layer, from one pass over the samples."""
    from accelsim.prune.blocks import call

    with torch.no_grad(), without_cache(module), watching(matrices, needs) as watch:
        for index, sample in enumerate(samples):
            told("calibrating", index, len(samples))
            call(module, sample)
            watch.passed()
        return {matrix.name: watch.of(matrix) for matrix in matrices}
