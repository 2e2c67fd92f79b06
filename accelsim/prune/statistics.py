"""What calibration tells of a layer's inputs: means, squares, the Gram matrix; summed as batches pass.

Inputs that several layers share (Q, K and V) are summed once. Sums are in float64, products in float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from accelsim.prune.matrices import Matrix


@dataclass(kw_only=True)
class Seen:
    """Statistics of one layer; `name` is the layer's. Which of them there are is what the words need.

    tokens: rows summed. squares, means, variances: (groups, columns), over all tokens. gram: (groups,
    columns, columns), 2/tokens x sum of x x^T. `of_loss`: what the loss tells of the weight, by what it is.
    """

    name: str
    tokens: int = 0
    _squares: torch.Tensor | None = None
    _sums: torch.Tensor | None = None
    _gram: torch.Tensor | None = None
    _of_loss: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @property
    def squares(self) -> torch.Tensor:
        """Mean square of each input."""
        return (_there(self._squares, self.name) / self.tokens).float()

    @property
    def means(self) -> torch.Tensor:
        """Mean of each input."""
        return (_there(self._sums, self.name) / self.tokens).float()

    @property
    def variances(self) -> torch.Tensor:
        """Population variance of each input."""
        mean = _there(self._sums, self.name) / self.tokens
        return (_there(self._squares, self.name) / self.tokens - mean.square()).clamp_min(0).float()

    @property
    def gram(self) -> torch.Tensor:
        """The Hessian of the layer's squared error, not damped."""
        return _there(self._gram, self.name) * (2 / self.tokens)

    @property
    def gradient(self) -> torch.Tensor:
        """(groups, rows, columns): root mean square, over samples, of the loss's gradient."""
        return _there(self._of_loss.get("gradients"), self.name)

    @property
    def fisher(self) -> torch.Tensor:
        """(groups, rows, blocks, span, span): mean, over samples, of g g^T in blocks of a row's columns."""
        return _there(self._of_loss.get("fisher"), self.name)

    @property
    def dual(self) -> torch.Tensor:
        """(groups, rows, columns): importance of D-Pruner (`accelsim.prune.dual`)."""
        return _there(self._of_loss.get("dual"), self.name)

    def add(self, columns: torch.Tensor, needs: frozenset[str]) -> None:
        """One batch: (groups, tokens, columns)."""
        self.tokens += columns.shape[1]
        if needs & {"squares", "moments"}:
            self._squares = _sum(self._squares, columns.square().sum(dim=1, dtype=torch.float64))
        if "moments" in needs:
            self._sums = _sum(self._sums, columns.sum(dim=1, dtype=torch.float64))
        if "gram" in needs:
            self._gram = _sum(self._gram, (columns.transpose(1, 2) @ columns).double())

    def shared(self, name: str) -> Seen:
        """The same inputs for another layer."""
        return Seen(name=name, tokens=self.tokens, _squares=self._squares, _sums=self._sums, _gram=self._gram)

    def with_loss(self, found: Mapping[str, torch.Tensor]) -> Seen:
        """Beside what the loss tells of the layer's weight."""
        self._of_loss = found
        return self


@dataclass
class Watch:
    """Hooks on layers; `seen` fills as the module runs."""

    needs: frozenset[str]
    seen: dict[str, Seen] = field(default_factory=dict)
    _leader: dict[str, str] = field(default_factory=dict)
    _passed: dict[int, tuple[torch.Tensor, str]] = field(default_factory=dict)

    def hook(self, matrix: Matrix) -> Any:
        """A forward pre-hook that sums the inputs of one layer."""

        def observe(layer: torch.nn.Module, args: tuple[Any, ...]) -> None:
            given = args[0]
            # Kept alive until the pass ends, so that an address means one tensor.
            earlier = self._passed.get(id(given)) if matrix.is_linear else None
            leader = self._leader.get(matrix.name)
            if leader is None:
                leader = earlier[1] if earlier else matrix.name
                self._leader[matrix.name] = leader
            if leader == matrix.name:
                seen = self.seen.setdefault(matrix.name, Seen(name=matrix.name))
                with torch.autocast("cpu", enabled=False):
                    seen.add(matrix.columns(given.detach().float()), self.needs)
                if matrix.is_linear:
                    self._passed[id(given)] = given, matrix.name

        return observe

    def passed(self) -> None:
        """One forward pass is over."""
        self._passed.clear()

    def of(self, matrix: Matrix) -> Seen:
        """What was seen at a layer; ValueError if it never ran."""
        leader = self._leader.get(matrix.name)
        if leader is None:
            raise ValueError(f"layer {matrix.name!r} must run on the calibration inputs, and never does")
        seen = self.seen[leader]
        return seen if leader == matrix.name else seen.shared(matrix.name)


@contextmanager
def watching(matrices: Sequence[Matrix], needs: frozenset[str]) -> Iterator[Watch]:
    """Inside the `with`, the inputs of these layers are summed."""
    watch = Watch(needs)
    hooks = [matrix.layer.register_forward_pre_hook(watch.hook(matrix)) for matrix in matrices]
    try:
        yield watch
    finally:
        for hook in hooks:
            hook.remove()


def _sum(before: torch.Tensor | None, more: torch.Tensor) -> torch.Tensor:
    return more if before is None else before + more


def _there(tensor: torch.Tensor | None, name: str) -> torch.Tensor:
    if tensor is None:
        raise ValueError(f"layer {name!r} must have been calibrated, and was not")
    return tensor
