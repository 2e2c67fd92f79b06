"""A composed recipe on a module: allocate, then cut layer by layer, each on what the cut ones before it give.

Networks of repeated blocks are cut block by block: a block's layers share statistics taken before any of
them was cut, and the next block is fed by the cut one. Other layers are calibrated by the dense model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from accelsim.prune.biases import add_bias
from accelsim.prune.blocks import chain_of, without_cache
from accelsim.prune.composed import Composed
from accelsim.prune.cut import Cut
from accelsim.prune.fitted import Fitted
from accelsim.prune.matrices import Matrix, matrices
from accelsim.prune.network import Network, Told, dense_statistics
from accelsim.prune.of_loss import OF_LOSS
from accelsim.prune.patterns.base import Amount
from accelsim.prune.statistics import Seen, watching
from accelsim.prune.word import Allocation, Refinement, Score
from accelsim.words import by_reason


def fit(module: nn.Module, recipe: Composed, samples: Sequence[Any], told: Told | None = None) -> Fitted:
    """Find the weights that the recipe leaves; the module is as before afterwards.

    `samples`: inputs that calibrate it. ValueError, in one line, if the recipe fits no layer.
    """
    if recipe.schedule:
        raise ValueError(f"{recipe} is pruned while it trains: accelsim train NAME --prune {recipe}")
    told = told or (lambda what, done, total: None)
    if recipe.needs_samples and not samples:
        raise ValueError(f"{recipe} must be calibrated on samples, and there are none")
    fitted = Fitted(recipe=recipe)
    chosen = _chosen(module, recipe, fitted.left_dense)
    dense = {matrix.name: matrix.weight.detach().clone() for matrix in chosen}
    fitting = _Fitting(Network(module, recipe, chosen, samples, told), fitted)
    training = module.training
    module.eval()
    try:
        with torch.no_grad(), without_cache(module):
            network = fitting.network
            for what in sorted(recipe.needs & OF_LOSS.keys()):
                network.of_loss[what] = OF_LOSS[what](network)
            allocation = recipe.words[0]
            assert isinstance(allocation, Allocation)
            fitting.amounts.update(allocation.of(network, recipe.set(allocation)))
            fitting.run()
    finally:
        module.train(training)
        for undo in fitting.undo:
            undo()
        with torch.no_grad():
            for matrix in chosen:
                matrix.weight.copy_(dense[matrix.name])
    return fitted


def _chosen(module: nn.Module, recipe: Composed, left_dense: dict[str, str]) -> list[Matrix]:
    """The layers that the recipe fits; the others are listed with the reason."""
    chosen = []
    settings = recipe.shaping(module)
    for matrix in matrices(module):
        rows = matrix.weight.numel() // matrix.weight.shape[matrix.axis]
        obstacle = (
            matrix.obstacle
            or recipe.shape.where(matrix.name, matrix.along, settings)
            or recipe.shape.refuses(rows, matrix.along, recipe.amount, settings)
        )
        if not obstacle and recipe.needs and not matrix.sees_inputs:
            obstacle = f"{type(matrix.layer).__name__}'s inputs cannot be calibrated"
        if obstacle:
            left_dense[matrix.name] = obstacle
        else:
            chosen.append(matrix)
    if not chosen:
        reasons = by_reason(left_dense)
        raise ValueError(
            f"{recipe} must fit at least one linear or convolution layer ({reasons or 'none here'})"
        )
    return chosen


@dataclass
class _Fitting:
    """One run over the layers."""

    network: Network
    fitted: Fitted
    amounts: dict[str, Amount] = field(default_factory=dict)
    undo: list[Callable[[], None]] = field(default_factory=list)
    done: int = 0

    def run(self) -> None:
        """Block by block if there are blocks and anything has to be seen, then the rest."""
        needs = self.network.recipe.statistics
        rest = {matrix.name: matrix for matrix in self.network.matrices}
        chain = chain_of(self.network.module, self.network.samples) if needs else None
        if chain is not None:
            for index, name in enumerate(chain.names):
                inside = [rest.pop(each) for each in list(rest) if each.startswith(f"{name}.")]
                with watching(inside, needs) as watch:
                    for sample in range(len(chain.states)):
                        chain.run(index, sample)
                        watch.passed()
                    for matrix in inside:
                        self.cut(matrix, watch.of(matrix))
                if index + 1 < len(chain.names):
                    chain.advance(index)
        seen: dict[str, Seen] = {}
        if needs and rest:
            network = self.network
            seen = dense_statistics(network.module, list(rest.values()), network.samples, needs, network.told)
        for matrix in rest.values():
            self.cut(matrix, seen.get(matrix.name) or Seen(name=matrix.name))

    def cut(self, matrix: Matrix, seen: Seen) -> None:
        """Score, mask, refine, and write, in full precision whatever the forward passes have."""
        network = self.network
        network.told(f"cutting {matrix.name}", self.done, len(network.matrices))
        self.done += 1
        seen = seen.with_loss(network.loss_facts(matrix))
        with torch.autocast("cpu", enabled=False):
            self._cut(matrix, seen)

    def _cut(self, matrix: Matrix, seen: Seen) -> None:
        recipe = self.network.recipe
        amount = self.amounts[matrix.name]
        cut = cut_layer(matrix.name, matrix.read(), seen, recipe, amount, self.network.module)
        cut.is_linear = matrix.is_linear
        for word in recipe.words[3:]:
            assert isinstance(word, Refinement)
            word.on(cut, recipe.set(word))
        self._write(matrix, cut)

    def _write(self, matrix: Matrix, cut: Cut) -> None:
        name, fitted = matrix.name, self.fitted
        weight = cut.weight
        if cut.unrefined:
            fitted.unrefined[name] = cut.unrefined
        if cut.factors is not None:
            from accelsim.prune.factors import product

            fitted.factors[name] = cut.factors
            weight = product(cut.factors[0], cut.weight[0], cut.factors[1])[None]
        matrix.write(weight)
        if cut.bias is not None:
            fitted.bias[name] = cut.bias.flatten()
            self.undo.append(add_bias(matrix.layer, fitted.bias[name]))
        fitted.weights[name] = matrix.shaped(cut.weight) if cut.factors is None else cut.weight[0]


def cut_layer(
    name: str, dense: torch.Tensor, seen: Seen, recipe: Composed, amount: Amount, module: Any = None
) -> Cut:
    """Scores and mask of one layer (groups, rows, columns) of a module, not refined yet."""
    score, shape = recipe.words[1], recipe.shape
    assert isinstance(score, Score)
    settings, shaped = recipe.scoring(module), recipe.shaping(module)

    def choose(scores: torch.Tensor) -> torch.Tensor:
        return shape.of(scores, amount, shaped)

    if score.sweep is not None:
        weight, kept = score.sweep(dense, seen, amount, choose, settings)
    else:
        kept = choose(score.of(dense, seen, settings))
        weight = dense * kept
    return Cut(name=name, dense=dense, weight=weight, kept=kept, seen=seen, amount=amount)
