"""Workloads to test with: one with every kind of layer and field, and any that can be drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from accelsim.golden.formats import Bitmap
from accelsim.workload import Attention, Matmul, Unknown, Update, Workload

sizes = st.integers(1, 5)
text = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=8)


@st.composite
def matmuls(draw: st.DrawFn) -> Matmul:
    m, n, k, count = draw(sizes), draw(sizes), draw(sizes), draw(sizes)
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    weights = draw(st.booleans())
    shape = draw(st.sampled_from([(n, k), (count, n, k)]))
    masked = weights and draw(st.booleans())
    stage = draw(st.sampled_from(["", "ff", "bp", "wu"]))
    # In a training step no outputs and inputs leave.
    more = st.sampled_from([0, 2]) if not stage else st.just(0)
    return Matmul(
        name=draw(text),
        m=m,
        n=n,
        k=k,
        count=count,
        weights=weights,
        mask=Bitmap.pack(generator.random(shape) < 0.5) if masked else None,
        geometry=draw(st.dictionaries(text, st.integers() | text, max_size=3)),
        dense_m=draw(st.sampled_from([0, m, m + 3])),
        dense_count=draw(st.sampled_from([0, count, count + 1])),
        dense_n=n + 2 if draw(more) else 0,
        dense_k=k + 2 if draw(more) else 0,
        stage=stage,
    )


@st.composite
def attentions(draw: st.DrawFn) -> Attention:
    batch, heads, queries, keys = draw(sizes), draw(sizes), draw(sizes), draw(sizes)
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    lsb = draw(st.sampled_from([0, 4]))
    rows = (batch, heads, queries)
    decisions: dict[str, Any] = {
        "values": generator.integers(0, keys + 1, rows).astype(np.int32),
        "refetch": (generator.random(rows) < 0.5) & (lsb > 0),
        "scores": generator.integers(0, 4097, (*rows, keys)).astype(np.uint16),
        "tokens": np.tile(np.arange(keys, dtype=np.int32) * 2, (batch, 1)),
        "token_scores": generator.integers(0, 2**32, (batch, keys)).astype(np.uint32),
        "head_ids": np.arange(heads, dtype=np.int32) + 1,
        "head_scores": generator.integers(0, 2**32, heads).astype(np.uint32),
    }
    kept = {name: array for name, array in decisions.items() if draw(st.booleans())}
    return Attention(
        name=draw(text),
        heads=heads,
        kv_heads=draw(st.integers(1, heads)),
        queries=queries,
        keys=keys,
        dim=draw(sizes),
        value_dim=draw(sizes),
        batch=batch,
        causal=draw(st.booleans()),
        bits=(6, lsb) if lsb else draw(st.sampled_from([None, (8, 0)])),
        token_keep=draw(st.integers(0, keys)) if "token_scores" in kept else 0,
        head_keep=draw(st.integers(0, heads)) if "head_scores" in kept else 0,
        dense_queries=draw(st.sampled_from([0, queries + 1])),
        dense_keys=2 * keys,
        dense_heads=heads + 1,
        **kept,
    )


patterns = st.sampled_from(["dense", "2:4", "2:8", "4:4"])
updates = st.builds(
    Update,
    name=text,
    n=sizes,
    k=sizes,
    count=sizes,
    forward=patterns,
    backward=patterns,
    state=st.integers(0, 2),
    weight_decay=st.booleans(),
    decay=st.booleans(),
    loss_scale=st.sampled_from([1, 2**16]),
    skipped=st.booleans(),
    geometry=st.dictionaries(text, st.integers() | text, max_size=3),
)
unknowns = st.builds(Unknown, name=text, op=text, macs=st.integers(0, 2**63 - 1), reason=st.just("") | text)
workloads = st.builds(
    Workload,
    model=text,
    layers=st.lists(matmuls() | attentions() | unknowns | updates, max_size=4).map(tuple),
    synthetic=st.booleans(),
    notes=st.lists(text, max_size=2).map(tuple),
)


def example() -> Workload:
    generator = np.random.default_rng(5)
    attention = Attention(
        name="layer.1.attention",
        heads=2,
        kv_heads=2,
        queries=3,
        keys=3,
        dim=4,
        value_dim=4,
        bits=(6, 4),
        values=np.full((1, 2, 3), 2, np.int32),
        refetch=np.eye(2, 3, dtype=np.bool_)[None],
        scores=generator.integers(0, 4097, (1, 2, 3, 3)).astype(np.uint16),
        tokens=np.array([[0, 2, 5]], np.int32),
        token_scores=np.array([[9, 7, 8]], np.uint32),
        token_keep=2,
        head_ids=np.array([0, 3], np.int32),
        head_scores=np.array([4, 6], np.uint32),
        head_keep=1,
        dense_queries=6,
        dense_keys=6,
        dense_heads=4,
    )
    mask = Bitmap.pack(np.arange(40).reshape(5, 8) % 4 < 2)
    geometry = {"kernel": "1x1", "groups": 1}
    return Workload(
        model="tiny",
        layers=(
            Matmul(name="layer.0.linear", m=3, n=5, k=8, mask=mask, geometry=geometry, dense_m=6),
            attention,
            Unknown(name="scan", op="state.space", macs=7, reason="not understood"),
            Update(
                name="layer.0.update", n=5, k=8, forward="2:4", state=1, loss_scale=1024, geometry=geometry
            ),
        ),
        notes=("3 tokens",),
    )
