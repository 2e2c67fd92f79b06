"""What a layer decided, row by row, in the order in which the machine takes the rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelsim.plan import Flags, Integers
from accelsim.sampling import standing
from accelsim.workload import Attention


@dataclass(frozen=True, kw_only=True, eq=False)
class Decisions:
    """One entry per row: sequence by sequence, head by head, query by query.

    sequence, head: (rows,); stored: (rows,), the KV head in memory, of `stored_heads`.
    values: (rows,), V vectors kept; again: (rows,), rows that re-fetch; scores: (scored, keys) or None;
    source: (rows,), which of them are a row's own, or stand for it.
    positions: (batch, keys), ascending, below `length`.
    """

    sequence: Integers
    head: Integers
    stored: Integers
    stored_heads: int
    values: Integers
    again: Flags
    scores: npt.NDArray[np.uint16] | None
    source: Integers
    positions: Integers
    length: int

    @property
    def grouped(self) -> bool:
        """Whether query heads share a KV head."""
        return np.unique(self.stored).size < np.unique(self.head).size

    @property
    def rows(self) -> int:
        """Query rows of all heads and sequences."""
        return self.sequence.size


def read_decisions(layer: Attention) -> Decisions:
    """The decisions of a layer. ValueError where local values are pruned and no scores say which."""
    shape = (layer.batch, layer.heads, layer.queries)
    sequence, head, _ = (index.ravel() for index in np.indices(shape))
    values = np.full(shape, layer.keys) if layer.values is None else layer.values
    if layer.scores is None and (values < layer.keys).any():
        raise ValueError(
            f"layer {layer.name!r}: scores must be there where values are pruned (the selection's time "
            f"depends on them), not None with {values.min()} of {layer.keys} values kept"
        )
    tokens = np.arange(layer.keys) if layer.tokens is None else layer.tokens
    return Decisions(
        sequence=sequence,
        head=head,
        stored=_stored_heads(layer)[head],
        stored_heads=layer.kv_heads if layer.kv_heads < layer.heads else layer.dense_heads or layer.heads,
        values=values.ravel().astype(np.int64),
        again=np.zeros(sequence.size, np.bool_) if layer.refetch is None else layer.refetch.ravel(),
        scores=None if layer.scores is None else layer.scores.reshape(-1, layer.keys),
        source=_sources(layer),
        positions=np.broadcast_to(tokens, (layer.batch, layer.keys)).astype(np.int64),
        length=layer.dense_keys or layer.keys,
    )


def _sources(layer: Attention) -> Integers:
    """Where each row finds its scores."""
    rows = layer.batch * layer.heads * layer.queries
    if layer.score_rows is None:
        return np.arange(rows)
    own = standing(layer.score_rows, layer.queries)
    first = np.arange(layer.batch * layer.heads) * layer.scored
    return (first[:, None] + own).ravel()


def _stored_heads(layer: Attention) -> Integers:
    """The KV head of each query head; as many KV heads as heads are one each, whatever heads are left."""
    ids = np.arange(layer.heads) if layer.head_ids is None else layer.head_ids.astype(np.int64)
    if layer.kv_heads == layer.heads:
        return ids
    return ids * layer.kv_heads // (layer.dense_heads or layer.heads)
