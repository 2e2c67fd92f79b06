"""What pruning costs in accuracy: a logistic head tells good from bad movie sentences by their embeddings.

Three figures: the dense head on dense embeddings, the same head on pruned embeddings, and a head fitted
anew on pruned embeddings. Only the model is pruned, never the head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from accelsim.extras import require
from accelsim.models.candidates import maximum_tokens
from accelsim.models.inputs import tokenizer
from accelsim.models.loading import Model
from accelsim.models.sentences import EvaluationError, rated_sentences
from accelsim.prune import Recipe, pruned

SENTENCES = 3000
FITTED_SHARE = 2 / 3
LONGEST = 256  # tokens; the longest rated sentence has fewer
BATCH = 64

Floats = npt.NDArray[np.float64]


def evaluate(
    model: Model,
    prune: str | Recipe | Sequence[str | Recipe] | None = None,
    *,
    seed: int = 0,
    sentences: int = SENTENCES,
) -> dict[str, str | float | int]:
    """Accuracy of `model` on rated sentences drawn from `seed`, dense and pruned by the recipes.

    Gives `metric` (words), `dense`, `pruned` (the dense head) and `refitted` (fractions), and `samples`, the
    sentences on which all three were measured. EvaluationError if the model is no text encoder or the
    sentences cannot be fetched.
    """
    require("evaluation", "transformers")
    if model.folder is None or getattr(model.module, "main_input_name", None) != "input_ids":
        raise EvaluationError(f"accuracy needs a text encoder with its tokenizer, not {model.name!r}")
    texts, good = _drawn(seed, sentences)
    ids = tokenized(model, texts)
    dense = embeddings(model.module, ids)
    if prune:
        with pruned(model.module, prune, heads_per_sample=True):
            sparse = embeddings(model.module, ids)
    else:
        sparse = dense
    fitted = round(len(texts) * FITTED_SHARE)
    head = fit_head(dense[:fitted], good[:fitted])
    refitted = fit_head(sparse[:fitted], good[:fitted])
    tested = slice(fitted, None)
    return {
        "metric": f"accuracy of a logistic head on rated movie sentences, fitted on {fitted} others",
        "dense": _accuracy(head, dense[tested], good[tested]),
        "pruned": _accuracy(head, sparse[tested], good[tested]),
        "refitted": _accuracy(refitted, sparse[tested], good[tested]),
        "samples": len(texts) - fitted,
    }


def tokenized(model: Model, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, as long as it is: no padding."""
    if model.folder is None:
        raise EvaluationError(f"model {model.name!r} must have a tokenizer")
    limit = min(maximum_tokens(model.module) or LONGEST, LONGEST)
    encoded: Mapping[str, list[list[int]]] = tokenizer(model.folder)(
        list(texts), truncation=True, max_length=limit
    )
    return encoded["input_ids"]


def embeddings(module: nn.Module, ids: Sequence[Sequence[int]]) -> Floats:
    """Mean of the last hidden states over the tokens that are left, of length 1: (texts, width).

    Texts of equal length share a batch, so that nothing is padded and no text sees another's length.
    """
    by_length: dict[int, list[int]] = {}
    for index, text in enumerate(ids):
        by_length.setdefault(len(text), []).append(index)
    rows: dict[int, Any] = {}
    with torch.no_grad():
        for _, members in sorted(by_length.items()):
            for start in range(0, len(members), BATCH):
                batch = members[start : start + BATCH]
                output = module(input_ids=torch.tensor([list(ids[index]) for index in batch]))
                hidden = getattr(output, "last_hidden_state", None)
                if hidden is None:
                    raise EvaluationError(f"accuracy needs an encoder, not {type(module).__name__}")
                pooled = nn.functional.normalize(hidden.mean(dim=1), dim=1).double().numpy()
                rows.update(zip(batch, pooled, strict=True))
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


def _drawn(seed: int, count: int) -> tuple[list[str], npt.NDArray[np.bool_]]:
    """Sentences in random order, and whether each is rated good; those rated 0 are left out."""
    rated = [(text, rating) for text, rating in rated_sentences() if rating != 0]
    if not 30 <= count <= len(rated):
        raise EvaluationError(f"sentences must be between 30 and {len(rated)}, not {count}")
    chosen = np.random.default_rng(seed).permutation(len(rated))[:count]
    return [rated[i][0] for i in chosen], np.array([rated[i][1] > 0 for i in chosen])


def _accuracy(head: Floats, features: Floats, labels: npt.NDArray[np.bool_]) -> float:
    decided = features @ head[:-1] + head[-1] > 0
    return round(float((decided == labels).mean()), 4)
