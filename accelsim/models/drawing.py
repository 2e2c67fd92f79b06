"""Recipes on layers of which only the shapes are known: masks and decisions are drawn, counts are exact.

Layers of equal shape share one mask, and attentions of equal shape their scores, so that a network of
billions of weights takes megabytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.attention import HEAD_START, TOKEN_START, keep_count, schedule, select
from accelsim.golden.formats import Bitmap
from accelsim.layers import SCORE_ONE
from accelsim.models.shapes import Part
from accelsim.prune.recipes import Magnitude, NmTraining, Recipe, Spatten
from accelsim.sampling import kept_rows, said
from accelsim.synthetic import draw_mask, spread
from accelsim.workload import Attention, Layer, Matmul

REFETCH_SHARE = 0.059
"""Share of the rows that fetch their LSBs: the mean that the SpAtten paper states."""

MOST_SCORES = 2**30
"""Bound on the drawn scores of a network, 2 bytes each."""

MOST_ROWS = 2**24
"""Bound on the rows of one layer, of which each decides something."""


def drawn(
    parts: Sequence[Part], recipes: Sequence[Recipe], generator: np.random.Generator
) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    """The layers after the recipes, and what reports must say. ValueError for a recipe that fits nothing."""
    notes: list[str] = []
    parts = list(parts)
    for recipe in recipes:
        if isinstance(recipe, Magnitude):
            parts, said = _masked(parts, recipe, generator)
        elif isinstance(recipe, NmTraining):
            parts, said = _forward_masked(parts, recipe, generator)
        else:
            parts, said = _cascaded(parts, recipe, generator)
        notes += said
    return tuple(part.layer for part in parts), tuple(notes)


def _masked(
    parts: list[Part], recipe: Magnitude, generator: np.random.Generator
) -> tuple[list[Part], list[str]]:
    """Every weight that the recipe fits gets the mask of its shape."""
    masks: dict[tuple[int, int], Bitmap] = {}
    made, dense = [], []
    for part in parts:
        layer = part.layer
        if isinstance(layer, Matmul):
            obstacle = part.obstacle
            if not obstacle and recipe.m and layer.group_span % recipe.m:
                words = f"no multiple of {recipe.m} for {recipe.n}:{recipe.m}"
                obstacle = f"{layer.group_span} weights along the reduction are {words}"
            if obstacle:
                dense.append(f"{layer.name} ({obstacle})")
            else:
                shape = layer.n, layer.k
                if shape not in masks:
                    # A fraction is kept in each row alike.
                    pattern = (
                        (recipe.n, recipe.m) if recipe.m else (keep_count(layer.k, recipe.keep), layer.k)
                    )
                    masks[shape] = draw_mask(*shape, pattern, generator)
                part = replace(part, layer=replace(layer, mask=masks[shape]))
        made.append(part)
    if not masks:
        raise ValueError(f"magnitude must fit at least one layer ({'; '.join(dense) or 'none here'})")
    notes = [f"left dense: {', '.join(dense)}"] if dense else []
    return made, ["masks are drawn, and layers of equal shape share one", *notes]


def _forward_masked(
    parts: list[Part], recipe: NmTraining, generator: np.random.Generator
) -> tuple[list[Part], list[str]]:
    """The forward weights that N:M training leaves, as inference reads them."""
    if not recipe.prunes_forward:
        raise ValueError(f"{recipe.words} prunes gradients alone: it belongs to a training step (--train)")
    chosen, dense = trained_parts(parts, recipe)
    masks: dict[tuple[int, int], Bitmap] = {}
    made = []
    for part in parts:
        layer = part.layer
        if isinstance(layer, Matmul) and layer.name in chosen:
            shape, span = (layer.n, layer.k), layer.group_span
            if shape not in masks:
                masks[shape] = draw_span_mask(shape, span, (recipe.n, recipe.m), generator)
            stated = {**layer.geometry, "pattern": f"{recipe.n}:{recipe.m}"}
            part = replace(part, layer=replace(layer, mask=masks[shape], geometry=stated))
        made.append(part)
    return made, ["masks are drawn, and layers of equal shape share one", f"left dense: {', '.join(dense)}"]


def trained_parts(parts: Sequence[Part], recipe: NmTraining) -> tuple[set[str], list[str]]:
    """Names of the layers that N:M training prunes, and the others with the reason. ValueError for none."""
    weighted = [part for part in parts if isinstance(part.layer, Matmul) and part.layer.weights]
    chosen: set[str] = set()
    dense = []
    for index, part in enumerate(weighted):
        obstacle = part.obstacle
        if index == 0 and not recipe.first:
            obstacle = "the first layer"
        elif index == len(weighted) - 1 and not recipe.last:
            obstacle = "the last layer"
        if obstacle:
            dense.append(f"{part.layer.name} ({obstacle})")
        else:
            chosen.add(part.layer.name)
    if not chosen:
        raise ValueError(f"{recipe.words} must fit at least one layer ({'; '.join(dense) or 'none here'})")
    return chosen, dense


def draw_span_mask(
    shape: tuple[int, int], span: int, pattern: tuple[int, int], generator: np.random.Generator
) -> Bitmap:
    """A mask of (n, k) whose groups lie inside every `span` elements of k, the last of them ragged."""
    rows = shape[0] * shape[1] // span
    return Bitmap(shape, draw_mask(rows, span, pattern, generator).bits)


def _cascaded(
    parts: list[Part], recipe: Spatten, generator: np.random.Generator
) -> tuple[list[Part], list[str]]:
    """Tokens and heads leave block by block, by drawn importance; rows keep their share of the values."""
    attentions = {part.block: part.layer for part in parts if isinstance(part.layer, Attention)}
    if not attentions:
        raise ValueError("spatten needs attention, and this network has none")
    if -1 in attentions:
        raise ValueError("spatten needs attention of all tokens with themselves, and here it is in windows")
    first = attentions[0]
    if recipe.heads < 1 and first.kv_heads < first.heads:
        raise ValueError("spatten prunes no heads that share their keys; leave heads= out of the recipe")
    cascade = _Cascade(recipe, first, len(attentions), generator)
    made = []
    for part in parts:
        if part.block >= 0 and part.has_token_rows:
            part = replace(part, layer=cascade.reduced(part.layer, min(part.block, len(attentions) - 1)))
        made.append(part)
    notes = ["which tokens, heads and values are kept is drawn, as are the scores"]
    if recipe.bits is not None and recipe.bits[1]:
        notes.append(
            f"{REFETCH_SHARE:.1%} of the rows fetch their LSBs, spread evenly: the mean of the paper"
        )
    sampled = [
        part.layer for part in made if isinstance(part.layer, Attention) and part.layer.score_rows is not None
    ]
    rule = said(sum(layer.scored for layer in sampled), sum(layer.queries for layer in sampled))
    notes += [rule] if rule else []
    return made, notes


@dataclass
class _Cascade:
    """Who is left, block by block. `layer`: any attention of the unpruned network."""

    recipe: Spatten
    layer: Attention
    blocks: int
    generator: np.random.Generator
    tokens: list[int] = field(default_factory=list)
    heads: list[int] = field(default_factory=list)
    token_ids: npt.NDArray[Any] = field(init=False)
    head_ids: npt.NDArray[Any] = field(init=False)
    drawn: dict[tuple[int, ...], dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count, heads = self.layer.keys, self.layer.heads
        kept = schedule(self.blocks, self.recipe.tokens, TOKEN_START)
        self.tokens = [keep_count(count, fraction) for fraction in kept]
        kept = schedule(self.blocks, self.recipe.heads, HEAD_START)
        self.heads = [keep_count(heads, fraction) for fraction in kept]
        self.token_ids = np.broadcast_to(np.arange(count, dtype=np.int32), (self.layer.batch, count))
        self.head_ids = np.arange(heads, dtype=np.int32)
        if self.recipe.decides_rows:
            self._check_size()

    def _check_size(self) -> None:
        """Refuse what would not fit a memory, before anything is drawn."""
        batch, shapes = self.layer.batch, set(zip(self.heads, self.tokens, strict=True))
        rows = batch * self.layer.heads * self.layer.keys
        if rows > MOST_ROWS:
            raise ValueError(f"rows of a layer must be at most {MOST_ROWS}, not {rows}: use fewer tokens")
        scores = 0
        for heads, tokens in shapes:
            kept = self._kept(heads, tokens)
            scores += batch * heads * tokens * (tokens if kept is None else kept.size)
        if scores > MOST_SCORES:
            raise ValueError(f"scores to draw must be at most {MOST_SCORES}, not {scores}: use fewer tokens")

    def reduced(self, layer: Matmul | Attention, block: int) -> Matmul | Attention:
        """The layer with the tokens and heads that are left in its block."""
        here, unpruned = self.tokens[block], self.layer.keys
        if isinstance(layer, Attention):
            return self._attention(layer, block)
        return replace(layer, m=layer.m // unpruned * here, dense_m=layer.m if here < unpruned else 0)

    def _attention(self, layer: Attention, block: int) -> Attention:
        tokens, heads, last = self.tokens[block], self.heads[block], block + 1 == self.blocks
        next_tokens = tokens if last else self.tokens[block + 1]
        next_heads = heads if last else self.heads[block + 1]
        token_scores = self._importance(layer.batch, tokens)
        head_scores = self._importance(heads)
        cascades_tokens, cascades_heads = self.recipe.tokens < 1, self.recipe.heads < 1
        made = replace(
            layer,
            heads=heads,
            kv_heads=layer.kv_heads if layer.kv_heads < layer.heads else heads,
            queries=tokens,
            keys=tokens,
            causal=layer.causal and tokens > 1,
            bits=self.recipe.bits,
            tokens=self.token_ids if tokens < layer.keys else None,
            token_scores=token_scores if cascades_tokens else None,
            token_keep=next_tokens if cascades_tokens and next_tokens < tokens else 0,
            head_ids=self.head_ids if heads < layer.heads else None,
            head_scores=head_scores if cascades_heads else None,
            head_keep=next_heads if cascades_heads and next_heads < heads else 0,
            dense_queries=layer.queries if tokens < layer.queries else 0,
            dense_keys=layer.keys if tokens < layer.keys else 0,
            dense_heads=layer.heads if heads < layer.heads else 0,
            **self._rows((layer.batch, heads, tokens), layer.causal),
        )
        if next_tokens < tokens:
            kept = select(token_scores, next_tokens)
            self.token_ids = np.take_along_axis(self.token_ids, kept, axis=1)
        if next_heads < heads:
            self.head_ids = self.head_ids[select(head_scores, next_heads)]
        return made

    def _rows(self, shape: tuple[int, int, int], causal: bool) -> dict[str, Any]:
        """Values, re-fetches and scores of the rows (batch, heads, queries); equal shapes share them."""
        if not self.recipe.decides_rows:
            return {}
        if shape not in self.drawn:
            kept = self._kept(*shape[1:])
            decided: dict[str, Any] = {"scores": _scores(shape, kept, causal, self.generator)}
            decided["score_rows"] = None if kept is None else kept.astype(np.int32)
            if self.recipe.values < 1:
                decided["values"] = np.full(shape, keep_count(shape[2], self.recipe.values), np.int32)
            if self.recipe.bits is not None and self.recipe.bits[1]:
                decided["refetch"] = spread(int(np.prod(shape)), REFETCH_SHARE).reshape(shape)
            self.drawn[shape] = decided
        return self.drawn[shape]

    def _kept(self, heads: int, tokens: int) -> npt.NDArray[np.int64] | None:
        return kept_rows(tokens, self.layer.batch * heads * tokens)

    def _importance(self, *shape: int) -> npt.NDArray[np.uint32]:
        return self.generator.integers(2**20, size=shape, dtype=np.uint32)


def _scores(
    shape: tuple[int, int, int],
    kept: npt.NDArray[np.int64] | None,
    causal: bool,
    generator: np.random.Generator,
) -> npt.NDArray[np.uint16]:
    """Softmax of normal scores x 4096, head by head, for all rows or those `kept`.

    With `causal` a row sees no later key.
    """
    batch, heads, tokens = shape
    rows = np.arange(tokens) if kept is None else kept
    unseen = np.arange(tokens) > rows[:, None]
    scores = np.empty((batch, heads, rows.size, tokens), np.uint16)
    for place in np.ndindex(batch, heads):
        weights = np.exp(generator.standard_normal((rows.size, tokens), dtype=np.float32))
        if causal:
            weights[unseen] = 0
        scores[place] = np.rint(weights / weights.sum(axis=-1, keepdims=True) * SCORE_ONE)
    return scores
