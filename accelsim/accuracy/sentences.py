"""How well a text encoder tells good from bad movie sentences: a logistic head on its embeddings.

Three figures: the dense head on dense embeddings, the same head on pruned embeddings, and a head fitted
anew on pruned embeddings. Only the model is pruned, never the head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from accelsim.accuracy.spread import bootstrap, rounded
from accelsim.accuracy.task import AccuracyError, Advance, tokenizer_of
from accelsim.datasets import rated_sentences
from accelsim.models.candidates import maximum_tokens
from accelsim.models.loading import Model
from accelsim.report import Accuracy

TESTED = 1000
FITTED_PER_TESTED = 2
FEWEST = 10
LONGEST = 256  # tokens; the longest rated sentence has fewer
BATCH = 64

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Sentences:
    """`ids`: the tokens of each text, those for fitting first. `good`: whether it is rated above 0."""

    ids: Sequence[Sequence[int]]
    good: npt.NDArray[np.bool_]
    fitted: int
    seed: int

    @property
    def work(self) -> int:
        """Texts."""
        return len(self.ids)

    def outputs(self, module: nn.Module, advance: Advance) -> Floats:
        """Embeddings (texts, width)."""
        return embeddings(module, self.ids, advance)

    def judged(self, dense: Floats, pruned: Floats) -> Accuracy:
        """Share of the tested sentences that are told right."""
        fitted, tested = slice(self.fitted), slice(self.fitted, None)
        head, refitted = (fit_head(each[fitted], self.good[fitted]) for each in (dense, pruned))
        right = [
            _right(head, dense[tested], self.good[tested]),
            _right(head, pruned[tested], self.good[tested]),
            _right(refitted, pruned[tested], self.good[tested]),
        ]
        figures = [rounded(float(each.mean())) for each in right]
        return Accuracy(
            metric=f"accuracy of a logistic head on rated movie sentences, fitted on {self.fitted} others",
            dense=figures[0],
            pruned=figures[1],
            refitted=figures[2],
            samples=len(right[0]),
            spread=bootstrap(right[0], right[1], seed=self.seed, of="sentences"),
        )


def sentences(model: Model, *, seed: int, samples: int | None) -> Sentences:
    """The task for a text encoder with a tokenizer; AccuracyError if it has none.

    `samples` sentences (default 1,000) are tested, and the head is fitted on twice as many others.
    """
    tested = TESTED if samples is None else samples
    texts, good = _drawn(seed, tested)
    return Sentences(ids=tokenized(model, texts), good=good, fitted=tested * FITTED_PER_TESTED, seed=seed)


def tokenized(model: Model, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, as long as it is: no padding."""
    limit = min(maximum_tokens(model.module) or LONGEST, LONGEST)
    encoded: Mapping[str, list[list[int]]] = tokenizer_of(model)(
        list(texts), truncation=True, max_length=limit
    )
    return encoded["input_ids"]


def embeddings(
    module: nn.Module, ids: Sequence[Sequence[int]], advance: Advance = lambda texts: None
) -> Floats:
    """Mean of the last hidden states over the tokens that are left, of length 1: (texts, width).

    Texts of equal length share a batch, so that nothing is padded and no text sees another's length. Of a
    model with a head the model below it is asked.
    """
    encoder = getattr(module, "base_model", module)
    by_length: dict[int, list[int]] = {}
    for index, text in enumerate(ids):
        by_length.setdefault(len(text), []).append(index)
    rows: dict[int, Any] = {}
    with torch.no_grad():
        for _, members in sorted(by_length.items()):
            for start in range(0, len(members), BATCH):
                batch = members[start : start + BATCH]
                output = encoder(input_ids=torch.tensor([list(ids[index]) for index in batch]))
                hidden = getattr(output, "last_hidden_state", None)
                if hidden is None:
                    raise AccuracyError(
                        f"accuracy on sentences needs an encoder, not {type(module).__name__}"
                    )
                pooled = nn.functional.normalize(hidden.mean(dim=1), dim=1).double().numpy()
                rows.update(zip(batch, pooled, strict=True))
                advance(len(batch))
    return np.stack([rows[index] for index in range(len(ids))])


def fit_head(features: Floats, labels: npt.NDArray[np.bool_]) -> Floats:
    """Logistic regression, weights then bias: least sum of log losses plus half the squared weights.

    The optimum is unique, so it depends on no seed; found by Newton's method in float64.
    """
    inputs = np.column_stack([features, np.ones(len(features))])
    penalty = np.append(np.ones(features.shape[1]), 0.0)
    head = np.zeros(inputs.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-inputs @ head))
        gradient = inputs.T @ (chance - labels) + penalty * head
        curvature = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        head = head - step
        if np.abs(step).max() < 1e-9:
            break
    return head


def _drawn(seed: int, tested: int) -> tuple[list[str], npt.NDArray[np.bool_]]:
    """Sentences in random order, and whether each is rated good; those rated 0 are left out."""
    rated = [(text, rating) for text, rating in rated_sentences() if rating != 0]
    most = len(rated) // (1 + FITTED_PER_TESTED)
    if not FEWEST <= tested <= most:
        raise AccuracyError(f"--samples must be from {FEWEST} to {most} sentences, not {tested}")
    chosen = np.random.default_rng(seed).permutation(len(rated))[: tested * (1 + FITTED_PER_TESTED)]
    return [rated[i][0] for i in chosen], np.array([rated[i][1] > 0 for i in chosen])


def _right(head: Floats, features: Floats, labels: npt.NDArray[np.bool_]) -> Floats:
    """1 for each sentence that is told right, else 0."""
    decided = features @ head[:-1] + head[-1] > 0
    right: Floats = (decided == labels).astype(np.float64)
    return right
