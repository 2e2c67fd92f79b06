"""One attention with SpAtten's decisions: quantised Q, K, V, rows that fetch LSBs, local values, importance.

Every decision is taken by `accelsim.golden.attention` on probabilities rounded to 1/4096, so that what is
recorded is exactly what was decided on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from accelsim.golden.attention import head_importance, local_values, needs_lsb, token_importance
from accelsim.golden.fixed import join_lsb, split_lsb, symmetric_quantise
from accelsim.layers import SCORE_ONE
from accelsim.prune.recipes import Spatten
from accelsim.sampling import kept_rows

Array = npt.NDArray[Any]

HIGHEST_SCORE = 2**32 - 1
"""Cumulative scores saturate here, in the recorded width."""

MEAN_ONE = 2**16
"""Of a mean of probabilities x 4096, of which one over 1,000 keys is 4: whole numbers need more digits."""

MOST_AT_ONCE = 2**23
"""Scores that are made together: some 300 MB with all that is made of them."""


@dataclass(kw_only=True)
class Survivors:
    """Tokens and heads that are left, ascending, with their cumulative importance; one row a sample.

    `token_rows`: how many rows of all heads could see a token, and added to its importance.
    """

    tokens: npt.NDArray[np.int64]
    token_scores: npt.NDArray[np.int64]
    heads: npt.NDArray[np.int64]
    head_scores: npt.NDArray[np.int64]
    token_rows: npt.NDArray[np.int64]
    all_heads: int = 0

    @classmethod
    def all_of(cls, batch: int, tokens: int) -> Survivors:
        """Everything, with importance 0; the heads are known at the first attention."""
        none = np.zeros((batch, 0), np.int64)
        positions = np.broadcast_to(np.arange(tokens), (batch, tokens)).copy()
        return cls(
            tokens=positions,
            token_scores=np.zeros_like(positions),
            heads=none,
            head_scores=none,
            token_rows=np.zeros_like(positions),
        )

    def settle_heads(self, heads: int) -> None:
        """Learn at the first attention how many heads there are."""
        if not self.heads.size:
            self.all_heads = heads
            self.heads = np.broadcast_to(np.arange(heads), (len(self.tokens), heads)).copy()
            self.head_scores = np.zeros_like(self.heads)

    def newest(self, count: int) -> Survivors:
        """The last `count` tokens alone."""
        tokens, scores, rows = (
            each[:, -count:] for each in (self.tokens, self.token_scores, self.token_rows)
        )
        return replace(self, tokens=tokens, token_scores=scores, token_rows=rows)

    def keep(self, kept: npt.NDArray[np.int64]) -> None:
        """The tokens at the positions (batch, kept) alone."""
        for name in ("tokens", "token_scores", "token_rows"):
            setattr(self, name, np.take_along_axis(getattr(self, name), kept, axis=1))

    def mean_scores(self) -> npt.NDArray[np.int64]:
        """Importance of the tokens per row that could see them, in 1/`MEAN_ONE` of a 4096th."""
        mean: npt.NDArray[np.int64] = self.token_scores * MEAN_ONE // np.maximum(self.token_rows, 1)
        return mean

    def take_from(self, newest: Survivors) -> None:
        """Keep what was learnt of the newest tokens, and of the heads."""
        count = newest.tokens.shape[1]
        self.token_scores = np.concatenate([self.token_scores[:, :-count], newest.token_scores], axis=1)
        self.token_rows = np.concatenate([self.token_rows[:, :-count], newest.token_rows], axis=1)
        self.head_scores = newest.head_scores

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
    score_rows: npt.NDArray[np.int32] | None = None


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    recipe: Spatten,
    left: Survivors,
    count: int,
) -> tuple[torch.Tensor, Decisions]:
    """Attention of the heads that are left, which adds to the importances in `left`.

    query, key, value: (batch, heads, tokens, dim); mask: added to the scores, (batch or 1, heads or 1,
    tokens, tokens). `count`: V vectors that a row keeps. Returns (batch, tokens, heads, dim), zero where a
    head is pruned, in the query's type. Scores are made block by block, `MOST_AT_ONCE` at a time; those of
    all rows are recorded, or of some at even distances (`accelsim.sampling`).
    """
    group = query.shape[1] // key.shape[1]
    Q = _of_heads(query, left.heads)
    K, V = (_of_heads(shared.repeat_interleave(group, dim=1), left.heads) for shared in (key, value))
    if recipe.bits is not None:
        V = _quantised(V, recipe.value_bits or recipe.bits[0])[0]
    batch, heads, queries, keys = *Q.shape[:3], K.shape[2]
    score_rows = kept_rows(queries, batch * heads * keys)
    kept = np.arange(queries) if score_rows is None else score_rows
    prunes = count < keys
    refetch = np.zeros(Q.shape[:3], np.bool_) if recipe.bits and recipe.bits[1] else None
    decides = prunes or refetch is not None
    scores = np.empty((batch, heads, kept.size, keys), np.uint16) if decides else None
    output = np.empty((*Q.shape[:3], V.shape[3]), np.float32)
    rows = _Rows(Q, K, mask, scale, recipe, left.heads)
    for place in _blocks(batch, heads, queries, keys):
        samples, some, several = place
        probabilities, again = rows.probabilities(place)
        rounded = np.rint(probabilities * SCORE_ONE).astype(np.uint16)
        if refetch is not None:
            refetch[place] = again
        if scores is not None:
            recorded = slice(*np.searchsorted(kept, (several.start, several.stop)))
            scores[samples, some, recorded] = rounded[:, :, kept[recorded] - several.start]
        if prunes:
            probabilities = np.where(local_values(rounded, count), probabilities, 0)
        output[place] = probabilities @ V[samples, some]
        left.token_scores[samples] = token_importance(left.token_scores[samples], rounded)
    left.token_scores = np.minimum(left.token_scores, HIGHEST_SCORE)
    in_units = np.rint(output.astype(np.float64) * SCORE_ONE).astype(np.int64)
    left.head_scores = np.minimum(head_importance(left.head_scores, in_units), HIGHEST_SCORE)
    whole = np.zeros((*query.shape[:3], output.shape[3]), output.dtype)
    np.put_along_axis(whole, left.heads[:, :, None, None], output, axis=1)
    attended = torch.from_numpy(whole.swapaxes(1, 2).copy()).to(query.device, query.dtype)
    return attended, Decisions(
        values=np.full(Q.shape[:3], count, np.int32) if prunes else None,
        refetch=refetch,
        scores=scores,
        score_rows=score_rows.astype(np.int32) if score_rows is not None and scores is not None else None,
    )


def _blocks(batch: int, heads: int, queries: int, keys: int) -> Iterator[tuple[slice, slice, slice]]:
    """Samples, heads and rows that are computed together: all, else whole heads of a sample, else rows."""
    several = max(1, min(queries, MOST_AT_ONCE // keys))
    some = max(1, min(heads, MOST_AT_ONCE // (queries * keys)))
    samples = max(1, MOST_AT_ONCE // (heads * queries * keys))
    for sample in range(0, batch, samples):
        for head in range(0, heads, some):
            for row in range(0, queries, several):
                yield (
                    slice(sample, min(batch, sample + samples)),
                    slice(head, min(heads, head + some)),
                    slice(row, min(queries, row + several)),
                )


def _of_heads(tensor: torch.Tensor, heads: npt.NDArray[np.int64]) -> Array:
    """The rows of the kept heads of each sample, as float32."""
    array: Array = tensor.detach().to(device="cpu", dtype=torch.float32).numpy()
    if heads.shape[1] == array.shape[1]:
        return array
    taken: Array = np.take_along_axis(array, heads[: len(array), :, None, None], axis=1)
    return taken


class _Rows:
    """Probabilities of any rows, after the decision which of them are computed again from all bits."""

    def __init__(
        self,
        query: Array,
        key: Array,
        mask: torch.Tensor | None,
        scale: float,
        recipe: Spatten,
        heads: npt.NDArray[np.int64],
    ) -> None:
        self._mask: Array | None = None
        if mask is not None:
            self._mask = mask.detach().to(device="cpu", dtype=torch.float32).numpy()
        self._heads, self._scale, self._threshold = heads, np.float32(scale), recipe.threshold * SCORE_ONE
        self._whole: tuple[Array, Array] | None = None
        self._first = query, key
        if recipe.bits is not None:
            (whole_query, coarse_query), (whole_key, coarse_key) = (
                _quantised(vectors, *recipe.bits) for vectors in (query, key)
            )
            self._first = coarse_query, coarse_key
            self._whole = (whole_query, whole_key) if recipe.bits[1] else None

    def probabilities(self, place: tuple[slice, slice, slice]) -> tuple[Array, npt.NDArray[np.bool_] | None]:
        """Softmax of the rows at `place`, and which of them fetched their LSBs (None: there are none)."""
        first = self._softmax(self._first, place)
        if self._whole is None:
            return first, None
        again = needs_lsb(np.rint(first * SCORE_ONE), self._threshold)
        if again.any():
            first = np.where(again[..., None], self._softmax(self._whole, place), first)
        return first, again

    def _softmax(self, vectors: tuple[Array, Array], place: tuple[slice, slice, slice]) -> Array:
        samples, some, _ = place
        query, key = vectors[0][place], vectors[1][samples, some]
        scores: Array = query @ key.swapaxes(-1, -2)
        scores *= self._scale
        if self._mask is not None:
            scores += self._added(self._mask, place)
        scores -= scores.max(axis=-1, keepdims=True)
        exponentials = np.exp(scores, out=scores)
        exponentials /= exponentials.sum(axis=-1, keepdims=True)
        return exponentials

    def _added(self, mask: Array, place: tuple[slice, slice, slice]) -> Array:
        """The part of the mask for these rows, which heads and samples may share."""
        samples, some, several = place
        if len(mask) > 1:
            mask = mask[samples]
        if mask.shape[1] == 1:
            return mask[:, :, several]
        heads = self._heads[samples if len(mask) > 1 else slice(0, 1), some]
        added: Array = np.take_along_axis(mask[:, :, several], heads[:, :, None, None], axis=1)
        return added


def _quantised(vectors: Array, msb: int, lsb: int = 0) -> tuple[Array, Array]:
    """What all bits and what the MSBs alone stand for; the vectors of a head share a scale."""
    raw, scale = symmetric_quantise(vectors, msb + lsb, over=(-2, -1))
    whole: Array = (raw * scale).astype(vectors.dtype)
    if not lsb:
        return whole, whole
    coarse: Array = (join_lsb(split_lsb(raw, lsb)[0], 0, lsb) * scale).astype(vectors.dtype)
    return whole, coarse
