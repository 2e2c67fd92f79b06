"""The cascade on layers of which only the shapes are known: who is left is drawn, how many are is exact.

The rules are those of `prune.cascade` and `prune.generating`: a pass over the prompt drops rows, so that
later layers never hold their K and V; every further token starts with all that its layer holds, and the
newest stay. Importance is drawn once for a token, and grows by a draw in each layer that sees it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.attention import keep_count, select
from accelsim.layers import SCORE_ONE
from accelsim.models.shapes import Part
from accelsim.prune.recipes import Spatten
from accelsim.prune.schedules import PUBLISHED, Counts, Refetched
from accelsim.sampling import kept_rows, said
from accelsim.workload import Attention

REFETCH_SHARE = Fraction(59, 1000)
"""Share of the rows that fetch their LSBs: the mean that the SpAtten paper states."""

MOST_SCORES = 2**30
"""Bound on the drawn scores of a network, 2 bytes each."""

MOST_ROWS = 2**24
"""Bound on the rows of one layer, of which each decides something."""

PROTECTED = 2**32 - 1
ABSENT = -1


def cascaded(
    passes: list[list[Part]], recipe: Spatten, generator: np.random.Generator
) -> tuple[list[list[Part]], list[str]]:
    """Tokens and heads leave block by block, by drawn importance; rows keep their share of the values."""
    attentions = {part.block: part.layer for part in passes[0] if isinstance(part.layer, Attention)}
    if not attentions:
        raise ValueError("spatten needs attention, and this network has none")
    if -1 in attentions:
        raise ValueError("spatten needs attention of all tokens with themselves, and here it is in windows")
    first = attentions[0]
    if recipe.values_from and len(passes) == 1 and not first.causal and first.keys > 1:
        raise ValueError("values_in must be all for this network, an encoder, not generation")
    if recipe.prunes_heads and first.kv_heads < first.heads:
        raise ValueError("spatten prunes no heads that share their keys; leave heads= out of the recipe")
    cascade = _Cascade(recipe, first, len(attentions), len(passes) - 1, generator)
    made = []
    for index, parts in enumerate(passes):
        cascade.begin(index)
        made.append([cascade.reduced(part) for part in parts])
    notes = ["which tokens, heads and values are kept is drawn, as are the scores"]
    if recipe.bits is not None and recipe.bits[1]:
        notes.append(_refetch_note(recipe))
    sampled = [
        part.layer
        for parts in made
        for part in parts
        if isinstance(part.layer, Attention) and part.layer.score_rows is not None
    ]
    rule = said(sum(layer.scored for layer in sampled), sum(layer.queries for layer in sampled))
    notes += [rule] if rule else []
    return made, notes


def _refetch_note(recipe: Spatten) -> str:
    if _refetched(recipe):
        return f"rows that fetch their LSBs are as many as in the published trace of {recipe.schedule}"
    return f"{float(REFETCH_SHARE):.1%} of the rows fetch their LSBs, spread evenly: the mean of the paper"


def _refetched(recipe: Spatten) -> tuple[Refetched, ...]:
    return PUBLISHED[recipe.schedule].refetched if recipe.schedule else ()


@dataclass
class _Cascade:
    """Who is left, block by block and pass by pass. `layer`: any attention of the unpruned prompt.

    `leaving`: before which block tokens leave, by which ranks, how many stay, and the heads that do.
    """

    recipe: Spatten
    layer: Attention
    blocks: int
    steps: int
    generator: np.random.Generator
    counts: Counts = field(init=False)
    passed: int = 0
    importance: npt.NDArray[np.int64] = field(init=False)
    held: npt.NDArray[np.bool_] = field(init=False)
    tokens: npt.NDArray[np.int64] = field(init=False)
    heads: npt.NDArray[np.int64] = field(init=False)
    leaving: tuple[int, npt.NDArray[np.int64], int, npt.NDArray[np.int64]] | None = None
    drawn: dict[tuple[int, ...], dict[str, Any]] = field(default_factory=dict)
    rows_before: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.counts = self.recipe.counts(self.blocks)
        batch = self.layer.batch
        self.importance = self.generator.integers(2**20, size=(batch, self.end))
        self.held = np.zeros((self.blocks, batch, self.end), np.bool_)
        self._check_size()

    @property
    def end(self) -> int:
        """Tokens when the last has run."""
        return self.layer.keys + self.steps

    @property
    def length(self) -> int:
        """Tokens in this pass, pruned ones included."""
        return self.layer.keys + self.passed

    def begin(self, passed: int) -> None:
        """A pass starts: every token so far and all heads."""
        self.passed = passed
        self.tokens = np.broadcast_to(np.arange(self.length), (self.layer.batch, self.length))
        self.heads = np.arange(self.layer.heads)
        self.leaving = (0, *self._ranks(0), self.heads) if passed else None

    def reduced(self, part: Part) -> Part:
        """The layer with the tokens and heads that are left in its block."""
        layer, block = part.layer, min(part.block, self.blocks - 1)
        if part.block < 0 or not part.has_token_rows:
            return part
        if self.leaving and self.leaving[0] <= block:
            _, ranks, count, self.heads = self.leaving
            self._keep(ranks, count)
            self.leaving = None
        if isinstance(layer, Attention):
            return replace(part, layer=self._attention(layer, block))
        here = self.tokens.shape[1]
        if self.passed or here == self.length:
            return part
        return replace(part, layer=replace(layer, m=layer.m // self.length * here, dense_m=layer.m))

    def _attention(self, layer: Attention, block: int) -> Attention:
        here, last = self.tokens.shape[1], block + 1 == self.blocks
        self._see(block)
        ranks, next_tokens = (self._scores(), here) if last else self._ranks(block + 1)
        heads = self.heads.size
        next_heads = heads if last else self.counts.head_count(block + 1, layer.heads)
        head_scores = self.generator.integers(2**20, size=heads).astype(np.uint32)
        prunes_tokens, prunes_heads = self.recipe.prunes_tokens, self.recipe.prunes_heads
        queries = layer.queries if self.passed else here
        dim = keep_count(layer.dim, self.recipe.channels)
        made = replace(
            layer,
            heads=heads,
            kv_heads=layer.kv_heads if layer.kv_heads < layer.heads else heads,
            queries=queries,
            keys=here,
            dim=dim,
            causal=layer.causal and queries > 1,
            bits=self.recipe.bits,
            value_bits=self.recipe.value_bits,
            tokens=self.tokens.astype(np.int32) if here < layer.keys else None,
            token_scores=np.maximum(ranks, 0).astype(np.uint32) if prunes_tokens else None,
            token_keep=next_tokens if prunes_tokens and next_tokens < here else 0,
            head_ids=self.heads.astype(np.int32) if heads < layer.heads else None,
            head_scores=head_scores if prunes_heads else None,
            head_keep=next_heads if prunes_heads and next_heads < heads else 0,
            dense_queries=layer.queries if queries < layer.queries else 0,
            dense_keys=layer.keys if here < layer.keys else 0,
            dense_heads=layer.heads if heads < layer.heads else 0,
            dense_dim=layer.dim if dim < layer.dim else 0,
            **self._rows(block, (layer.batch, heads, queries), layer.causal),
        )
        if not last:
            kept_heads = self.heads[select(head_scores, next_heads)]
            self.leaving = (block + 1, ranks, next_tokens, kept_heads)
        return made

    def _scores(self) -> npt.NDArray[np.int64]:
        return np.take_along_axis(self.importance, self.tokens, axis=1)

    def _see(self, block: int) -> None:
        """The layer holds K and V of its tokens, or of the newest, and their importance grows."""
        new = self.tokens if not self.passed else self.tokens[:, -1:]
        np.put_along_axis(self.held[block], new, True, axis=1)
        grown = self._scores() + self.generator.integers(2**16, size=self.tokens.shape)
        np.put_along_axis(self.importance, self.tokens, grown, axis=1)

    def _ranks(self, block: int) -> tuple[npt.NDArray[np.int64], int]:
        """On what the tokens of a block are chosen, and how many stay (see `DecoderCascade`)."""
        ranks = self._scores()
        count = self.counts.token_count(block, self.passed, self.length, self.end)
        if not self.steps:
            return ranks, min(count, ranks.shape[1])
        recent = max(self.layer.keys, self.length - self.recipe.recent)
        protected = self.tokens >= (recent if self.passed else self.length - 1)
        ranks = np.where(protected, PROTECTED, ranks)
        if self.passed:
            ranks = np.where(
                protected | np.take_along_axis(self.held[block], self.tokens, axis=1), ranks, ABSENT
            )
        least = int(protected.sum(axis=1).max())
        return ranks, min(max(count, least), int((ranks != ABSENT).sum(axis=1).min()))

    def _keep(self, ranks: npt.NDArray[np.int64], count: int) -> None:
        if count < self.tokens.shape[1]:
            self.tokens = np.take_along_axis(self.tokens, select(ranks, count), axis=1)

    def _rows(self, block: int, shape: tuple[int, int, int], causal: bool) -> dict[str, Any]:
        """Values, re-fetches and scores of the rows (batch, heads, queries).

        Equal shapes share them in a pass over many tokens; the rows of a step are few, and each its own.
        """
        if not self.recipe.decides_rows(self.passed):
            return {}
        keys = self.tokens.shape[1]
        if self.passed:
            return self._decided(block, shape, causal)
        if (*shape, keys) not in self.drawn:
            self.drawn[*shape, keys] = self._decided(block, shape, causal)
        return self.drawn[*shape, keys]

    def _decided(self, block: int, shape: tuple[int, int, int], causal: bool) -> dict[str, Any]:
        keys = self.tokens.shape[1]
        kept = self._kept(shape[1], shape[2], keys)
        decided: dict[str, Any] = {"scores": _scores((*shape, keys), kept, causal, self.generator)}
        decided["score_rows"] = None if kept is None else kept.astype(np.int32)
        count = self.counts.value_count(block, self.passed, keys, self.length, self.end)
        if count < keys:
            decided["values"] = np.full(shape, count, np.int32)
        if self.recipe.bits is not None and self.recipe.bits[1]:
            decided["refetch"] = self._refetch(block, shape)
        return decided

    def _refetch(self, block: int, shape: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
        """Rows of a share, spread evenly: over a layer of many rows, or over all that it is of in steps."""
        known = _refetched(self.recipe)
        group, share = -1, Fraction(0) if known else REFETCH_SHARE
        for index, some in enumerate(known):
            if some.first <= self.passed <= some.last and (some.layers is None or block in some.layers):
                group, share = index, some.share
        count = int(np.prod(shape))
        rows = (self.rows_before[group] if self.passed else 0) + np.arange(count + 1)
        self.rows_before[group] += count if self.passed else 0
        due = (2 * rows * share.numerator + share.denominator) // (2 * share.denominator)
        again: npt.NDArray[np.bool_] = (np.diff(due) > 0).reshape(shape)
        return again

    def _check_size(self) -> None:
        """Refuse what would not fit a memory, before anything is drawn."""
        if not self.recipe.decides_rows(passed=1):
            return
        batch, heads, length = self.layer.batch, self.layer.heads, self.layer.keys
        rows = batch * heads * length
        if rows > MOST_ROWS:
            raise ValueError(f"rows of a layer must be at most {MOST_ROWS}, not {rows}: use fewer tokens")
        shapes = {
            (self.counts.head_count(block, heads), self.counts.token_count(block, 0, length, self.end))
            for block in range(self.blocks)
        }
        scores = self.steps * self.blocks * batch * heads * self.end
        for some, tokens in shapes if self.recipe.decides_rows(passed=0) else ():
            kept = self._kept(some, tokens, tokens)
            scores += batch * some * tokens * (tokens if kept is None else kept.size)
        if scores > MOST_SCORES:
            raise ValueError(f"scores to draw must be at most {MOST_SCORES}, not {scores}: use fewer tokens")

    def _kept(self, heads: int, queries: int, keys: int) -> npt.NDArray[np.int64] | None:
        return kept_rows(queries, self.layer.batch * heads * keys)


def _scores(
    shape: tuple[int, int, int, int],
    kept: npt.NDArray[np.int64] | None,
    causal: bool,
    generator: np.random.Generator,
) -> npt.NDArray[np.uint16]:
    """Softmax of normal scores x 4096, head by head, for all rows or those `kept`.

    With `causal` a row sees no later key.
    """
    batch, heads, queries, tokens = shape
    rows = np.arange(queries) if kept is None else kept
    unseen = np.arange(tokens) > rows[:, None]
    scores = np.empty((batch, heads, rows.size, tokens), np.uint16)
    for place in np.ndindex(batch, heads):
        weights = np.exp(generator.standard_normal((rows.size, tokens), dtype=np.float32))
        if causal and queries > 1:
            weights[unseen] = 0
        scores[place] = np.rint(weights / weights.sum(axis=-1, keepdims=True) * SCORE_ONE)
    return scores
