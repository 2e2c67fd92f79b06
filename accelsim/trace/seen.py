"""Q, K and probabilities of an attention, for machines that decide on them by themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from accelsim.layers import SCORE_ONE, VECTOR_ONE
from accelsim.sampling import kept_rows
from accelsim.trace.counting import Bound
from accelsim.workload import Attention

WORDS = np.iinfo(np.int16)

Probabilities = Callable[[int, int, torch.Tensor], torch.Tensor]


def with_product(
    layer: Attention, factors: tuple[torch.Tensor, torch.Tensor], probabilities: torch.Tensor
) -> Attention:
    """The layer with what a product and a softmax made; as it is where the factors are not Q and K^T.

    factors: (batch x heads, queries, dim) and (batch x heads, dim, keys).
    """
    query, key = factors
    if query.shape[-2] != layer.queries:
        return layer

    def of_head(sequence: int, head: int, rows: torch.Tensor) -> torch.Tensor:
        return probabilities[sequence * layer.heads + head, rows]

    return _with_scores(layer, query, key.transpose(1, 2), of_head)


def with_fused(layer: Attention, call: Bound) -> Attention:
    """The layer with what a fused attention makes inside; `call` binds the operator's arguments."""
    return _with_scores(layer, call["query"], call["key"], _fused_probabilities(layer, call))


def _with_scores(
    layer: Attention, query: torch.Tensor, key: torch.Tensor, probabilities: Probabilities
) -> Attention:
    """The layer with its scores, and with its vectors where it has several queries.

    query, key: (..., queries or keys, dim), heads of a sequence behind one another; K of each head or
    KV head. probabilities(sequence, head, rows): (rows, keys). Of many rows some are kept, at even distances
    (`accelsim.sampling`). Shapes without values stay as they are.
    """
    if query.device.type == "meta":
        return layer
    batch, heads, queries, keys = layer.batch, layer.heads, layer.queries, layer.keys
    kept = kept_rows(queries, batch * heads * keys)
    rows = torch.arange(queries) if kept is None else torch.from_numpy(kept)
    scores = np.empty((batch, heads, len(rows), keys), np.uint16)
    for sequence, head in np.ndindex(batch, heads):
        made = probabilities(sequence, head, rows).detach().float().nan_to_num(0.0).cpu().numpy()
        scores[sequence, head] = np.rint(made * SCORE_ONE)
    layer = replace(layer, scores=scores, score_rows=None if kept is None else kept.astype(np.int32))
    if queries == 1:
        return layer
    query = query.reshape(batch, heads, queries, layer.dim)[:, :, rows]
    key = key.reshape(batch, -1, keys, layer.dim)
    every = key.shape[1] // layer.kv_heads
    return replace(layer, query_vectors=_words(query), key_vectors=_words(key[:, ::every]))


def _fused_probabilities(layer: Attention, call: Bound) -> Probabilities:
    """What a fused attention makes inside; `call` binds query (..., heads, queries, dim), key, attn_mask,
    is_causal and scale. A row that sees nothing has no probabilities.
    """
    query, key = (call[name].detach().flatten(0, -4) for name in ("query", "key"))
    scale, mask = call.get("scale"), call.get("attn_mask")
    scale = layer.dim**-0.5 if scale is None else scale
    heads, queries, keys = query.shape[1], query.shape[2], key.shape[2]
    packed = layer.heads // heads  # rows of the operator that are heads of the layer
    shown = None if mask is None else mask.detach().expand(len(query), heads, queries, keys)

    def probabilities(sequence: int, head: int, rows: torch.Tensor) -> torch.Tensor:
        if packed > 1:
            rows = torch.tensor([head % packed])
        head //= packed
        stored = key[sequence, head * key.shape[1] // heads].float()
        scores = query[sequence, head, rows].float() @ stored.T * scale
        if shown is not None:
            part = shown[sequence, head, rows]
            scores = scores.masked_fill(~part, -torch.inf) if part.dtype == torch.bool else scores + part
        if call.get("is_causal", False):
            scores = scores.masked_fill((torch.arange(keys) > rows[:, None]).to(scores.device), -torch.inf)
        return torch.softmax(scores, -1)

    return probabilities


def _words(vectors: torch.Tensor) -> npt.NDArray[Any]:
    """In 1/256, saturating."""
    scaled = np.rint(vectors.detach().float().cpu().numpy() * VECTOR_ONE)
    words: npt.NDArray[Any] = np.clip(scaled, WORDS.min, WORDS.max).astype(np.int16)
    return words
