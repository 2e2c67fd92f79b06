"""One attention with SpAtten's decisions: quantised Q, K, V, rows that fetch LSBs, local values, importance.

Every decision is taken by `accelsim.golden.attention` on probabilities rounded to 1/4096, so that what is
recorded is exactly what was decided on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from accelsim.golden.attention import (
    head_importance,
    keep_count,
    local_values,
    needs_lsb,
    token_importance,
)
from accelsim.golden.fixed import join_lsb, split_lsb, symmetric_quantise
from accelsim.layers import SCORE_ONE
from accelsim.prune.recipes import Spatten

Array = npt.NDArray[Any]

HIGHEST_SCORE = 2**32 - 1
"""Cumulative scores saturate here, in the recorded width."""


@dataclass(kw_only=True)
class Survivors:
    """Tokens and heads that are left, ascending, with their cumulative importance; one row a sample."""

    tokens: npt.NDArray[np.int64]
    token_scores: npt.NDArray[np.int64]
    heads: npt.NDArray[np.int64]
    head_scores: npt.NDArray[np.int64]
    all_heads: int = 0

    @classmethod
    def all_of(cls, batch: int, tokens: int) -> Survivors:
        """Everything, with importance 0; the heads are known at the first attention."""
        none = np.zeros((batch, 0), np.int64)
        positions = np.broadcast_to(np.arange(tokens), (batch, tokens)).copy()
        return cls(tokens=positions, token_scores=np.zeros_like(positions), heads=none, head_scores=none)

    def settle_heads(self, heads: int) -> None:
        """Learn at the first attention how many heads there are."""
        if not self.heads.size:
            self.all_heads = heads
            self.heads = np.broadcast_to(np.arange(heads), (len(self.tokens), heads)).copy()
            self.head_scores = np.zeros_like(self.heads)

    def shared_head_scores(self) -> npt.NDArray[np.int64]:
        """Importance of the heads over the whole batch, when all samples keep the same ones."""
        shared: npt.NDArray[np.int64] = np.minimum(self.head_scores.sum(axis=0), HIGHEST_SCORE)
        return shared


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """What one attention decided, in the shapes of `accelsim.workload.Attention`."""

    values: npt.NDArray[np.int32] | None = None
    refetch: npt.NDArray[np.bool_] | None = None
    scores: npt.NDArray[np.uint16] | None = None


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    recipe: Spatten,
    left: Survivors,
) -> tuple[torch.Tensor, Decisions]:
    """Attention of the heads that are left, which adds to the importances in `left`.

    query, key, value: (batch, heads, tokens, dim); mask: added to the scores,
    (batch or 1, heads or 1, tokens, tokens). Returns (batch, tokens, heads, dim), zero where a
    head is pruned, in the query's type.
    """
    group = query.shape[1] // key.shape[1]
    Q = _of_heads(query, left.heads)
    K, V = (_of_heads(shared.repeat_interleave(group, dim=1), left.heads) for shared in (key, value))
    added = None if mask is None else _of_heads(mask.expand(-1, query.shape[1], -1, -1), left.heads)
    probabilities, refetch = _probabilities(Q, K, added, scale, recipe)
    rounded = np.rint(probabilities * SCORE_ONE).astype(np.int64)
    if recipe.bits is not None:
        V = _quantised(V, recipe.bits[0])[0]
    values = None
    if recipe.values < 1:
        count = keep_count(V.shape[2], recipe.values)
        probabilities = np.where(local_values(rounded, count), probabilities, 0)
        values = np.full(rounded.shape[:3], count, np.int32)
    output = probabilities @ V
    left.token_scores = np.minimum(token_importance(left.token_scores, rounded), HIGHEST_SCORE)
    in_units = np.rint(output.astype(np.float64) * SCORE_ONE).astype(np.int64)
    left.head_scores = np.minimum(head_importance(left.head_scores, in_units), HIGHEST_SCORE)
    decides = values is not None or refetch is not None
    whole = np.zeros((*query.shape[:3], output.shape[3]), output.dtype)
    np.put_along_axis(whole, left.heads[:, :, None, None], output, axis=1)
    attended = torch.from_numpy(whole.swapaxes(1, 2).copy()).to(query.device, query.dtype)
    return attended, Decisions(
        values=values, refetch=refetch, scores=rounded.astype(np.uint16) if decides else None
    )


def _of_heads(tensor: torch.Tensor, heads: npt.NDArray[np.int64]) -> Array:
    """The rows of the kept heads of each sample, as float32."""
    array: Array = tensor.detach().to(device="cpu", dtype=torch.float32).numpy()
    if heads.shape[1] == array.shape[1]:
        return array
    taken: Array = np.take_along_axis(array, heads[: len(array), :, None, None], axis=1)
    return taken


def _probabilities(
    query: Array, key: Array, added: Array | None, scale: float, recipe: Spatten
) -> tuple[Array, npt.NDArray[np.bool_] | None]:
    """Softmax of the scores; with LSBs, flat rows of the first pass are computed again from all bits."""
    if recipe.bits is None:
        return _softmax(query, key, added, scale), None
    msb, lsb = recipe.bits
    whole_query, coarse_query = _quantised(query, msb, lsb)
    whole_key, coarse_key = _quantised(key, msb, lsb)
    coarse = _softmax(coarse_query, coarse_key, added, scale)
    if not lsb:
        return coarse, None
    rounded = np.rint(coarse * SCORE_ONE)
    refetch = needs_lsb(rounded, recipe.threshold * SCORE_ONE)
    if refetch.any():
        coarse = np.where(refetch[..., None], _softmax(whole_query, whole_key, added, scale), coarse)
    return coarse, refetch


def _softmax(query: Array, key: Array, added: Array | None, scale: float) -> Array:
    scores: Array = query @ key.swapaxes(-1, -2) * np.float32(scale)
    if added is not None:
        scores = scores + added
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    probabilities: Array = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities


def _quantised(vectors: Array, msb: int, lsb: int = 0) -> tuple[Array, Array]:
    """What all bits and what the MSBs alone stand for; the vectors of a head share a scale."""
    whole, coarse = np.empty_like(vectors), np.empty_like(vectors)
    for place in np.ndindex(vectors.shape[:2]):
        raw, scale = symmetric_quantise(vectors[place], msb + lsb)
        whole[place] = raw * scale
        coarse[place] = join_lsb(split_lsb(raw, lsb)[0], 0, lsb) * scale
    return whole, coarse
