"""Where tensors come from: weights, inputs, or attention scores. Kept per storage, so views are free.

A storage that is freed may be followed by another at the same address; the mark is written anew by
whatever operator made it, so no stale mark is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import torch

from accelsim.trace.scopes import storage_key


class Origin(IntEnum):
    """What a tensor was computed from; the highest of its sources."""

    CONSTANT = 0
    WEIGHT = 1
    INPUT = 2


@dataclass(frozen=True, kw_only=True)
class Scores:
    """A tensor that holds the scores of a product of two activations, perhaps scaled, masked or normalised.

    `product`: number of the layer that made them. `normalised`: a softmax (or an exponential) came after;
    `shape` is the shape in which it saw them, `causal` whether nothing right of the diagonal was left.
    `sharing`: so many neighbouring heads have equal keys.
    """

    product: int
    elements: int
    normalised: bool = False
    shape: tuple[int, ...] = ()
    causal: bool = False
    sharing: int = 1


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What is known of one storage."""

    origin: Origin = Origin.CONSTANT
    scores: Scores | None = None


NOTHING = Mark()
PLAIN = {origin: Mark(origin=origin) for origin in Origin}


class Flow:
    """Marks of all storages seen so far."""

    def __init__(self) -> None:
        self._marks: dict[int, Mark] = {}

    def of(self, tensor: torch.Tensor) -> Mark:
        """The mark of a tensor's storage."""
        return self._marks.get(storage_key(tensor) or 0, NOTHING)

    def set(self, tensor: torch.Tensor, mark: Mark) -> None:
        """Mark the tensor's storage."""
        key = storage_key(tensor)
        if key is not None:
            self._marks[key] = mark

    def step(self, sources: Sequence[torch.Tensor], results: Iterable[torch.Tensor]) -> None:
        """An operator made `results` (new, or views of sources, or written in place) from `sources`."""
        marks = {key: self._marks.get(key or 0, NOTHING) for key in map(storage_key, sources)}
        origin = max((mark.origin for mark in marks.values()), default=Origin.CONSTANT)
        scores = next((mark.scores for mark in marks.values() if mark.scores is not None), None)
        plain = PLAIN[origin]
        for result in results:
            key = storage_key(result)
            if key is None:
                continue
            own = marks[key].scores if key in marks else None
            # A reduction of scores (a sum, a mean over heads) is no longer one score per key.
            passed = scores if scores is not None and result.numel() >= scores.elements else None
            kept = own or passed
            self._marks[key] = plain if kept is None else Mark(origin=origin, scores=kept)

    def normalised(self, source: torch.Tensor, result: torch.Tensor, causal: bool) -> None:
        """A softmax, or an exponential, turned scores into `result`."""
        scores = self.of(source).scores
        if scores is not None:
            changed = replace(scores, normalised=True, shape=tuple(source.shape), causal=causal)
            self.set(result, replace(self.of(result), scores=changed))
