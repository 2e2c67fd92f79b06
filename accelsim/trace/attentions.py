"""Heads and sizes of an attention: from shapes, from what the running module says, or from values."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

import torch

from accelsim.trace.counting import Bound
from accelsim.trace.operands import dtype_of, equal_neighbours, masks_the_future
from accelsim.trace.scopes import Scopes
from accelsim.workload import Attention


def fused(scopes: Scopes, call: Bound) -> Attention:
    """The attention that one operator computes."""
    query, key, value = call["query"], call["key"], call["value"]
    *batch, heads, queries, dim = (int(n) for n in query.shape)
    stored = int(key.shape[-3])
    if stored == heads and _packs(scopes, heads, queries):
        heads, queries = heads * queries, 1
    elif stored == heads:
        stored = key_heads(scopes, heads, equal_neighbours(key.reshape(-1, *key.shape[-2:])))
    return Attention(
        name=scopes.label,
        heads=heads,
        kv_heads=stored,
        queries=queries,
        keys=int(key.shape[-2]),
        dim=dim,
        value_dim=int(value.shape[-1]),
        batch=int(torch.Size(batch).numel()),
        dtype=dtype_of(query),
        causal=bool(call.get("is_causal", False)) or masks_the_future(call.get("attn_mask")),
    )


def batch_and_heads(scopes: Scopes, batch: int, shape: Sequence[int], count: int) -> tuple[int, int]:
    """Split the count of products: by the softmax's axes, the module's head count, or the batch."""
    if len(shape) >= 4 and shape[-3] and count % shape[-3] == 0:
        return count // int(shape[-3]), int(shape[-3])
    for attribute in ("num_heads", "num_attention_heads", "n_heads", "n_head", "heads"):
        heads = scopes.running(attribute)
        if heads and count % heads == 0:
            return count // heads, heads
    return (batch, count // batch) if count % batch == 0 else (1, count)


def key_heads(scopes: Scopes, heads: int, sharing: int) -> int:
    """K and V may have been repeated for groups of query heads before the product was made.

    The module may say so; otherwise `sharing` neighbours that are equal bit by bit are one KV head.
    """
    group = scopes.running("num_key_value_groups") or gcd(sharing, heads)
    return heads // group if heads % group == 0 else heads


def _packs(scopes: Scopes, heads: int, queries: int) -> bool:
    """Whether the "queries" are the heads that share one KV head, each with its single row.

    So `transformers` calls a fused attention for one token, where a mask forbids grouped heads.
    """
    groups = scopes.running("num_key_value_groups")
    return groups == queries > 1 and scopes.configured("num_attention_heads") == heads * groups
