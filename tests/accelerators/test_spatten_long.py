"""Rows that exceed SpAtten's stores: bytes by a formula of their own, books closed, order kept."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import spatten_layers

from accelsim.accelerators.base import memory_of
from accelsim.accelerators.spatten import PRESETS, SpAtten, TopK
from accelsim.accelerators.spatten.long_rows import is_long, kept_of_segments
from accelsim.machine import Timeline, simulate
from accelsim.workload import Attention

pytestmark = pytest.mark.slow  # without compilation

FULL, EIGHTH, E2E, TINY = (PRESETS[name] for name in ("full", "eighth", "e2e", "tiny"))

# Stores for 128 keys of 64 elements, and a selection of 1,024.
SMALL = replace(FULL, sram_bytes=2 * 128 * 64 * 12 // 8)


def attention(*, keys: int, **more: Any) -> Attention:
    """Other scores for every length."""
    return spatten_layers.attention(keys=keys, seed=keys, **more)


def run(machine: SpAtten, layer: Attention) -> Timeline:
    plan = machine.plan(layer).plan
    plan.check()
    timeline = simulate(plan, memory_of(machine))
    traffic = timeline.traffic
    assert (traffic.read_bursts + traffic.forwarded, traffic.write_bursts + traffic.merged) == (
        plan.bursts(write=False),
        plan.bursts(write=True),
    )
    total = timeline.busy + timeline.stalled.sum(axis=1) + timeline.idle
    assert (total == timeline.cycles).all()
    assert timeline.idle.min() >= 0
    return timeline


def asked(machine: SpAtten, layer: Attention) -> tuple[int, int]:
    plan = machine.plan(layer).plan
    return 32 * plan.bursts(write=False), 32 * plan.bursts(write=True)


def spilled(keys: int, segment: int) -> int:
    """Bytes of a row's exponents."""
    return sum(32 * -(-min(segment, keys - first) * 16 // 256) for first in range(0, keys, segment))


@pytest.mark.parametrize("queries", [2, 7])
@pytest.mark.parametrize("keys", [129, 256, 300])
def test_in_summarisation_keys_and_values_come_once_and_exponents_and_outputs_wait(
    queries: int, keys: int
) -> None:
    layer = attention(heads=3, queries=queries, keys=keys)
    rows, segments = 3 * queries, -(-keys // 128)
    waiting = rows * (spilled(keys, 128) + (segments - 1) * 64 * 4)
    assert asked(SMALL, layer) == (3 * keys * 2 * 96 + waiting, waiting)
    run(SMALL, layer)


def test_in_generation_the_kept_values_alone_come_and_no_output_waits() -> None:
    layer = attention(heads=4, keys=1000, kept=90)
    exponents = 4 * spilled(1000, 128)
    # Exponents come back twice: to be selected among, and to be used.
    assert asked(SMALL, layer) == (4 * (1000 + 90) * 96 + 2 * exponents, exponents)
    run(SMALL, layer)


def test_rows_that_refetch_bring_keys_again_with_their_lsbs() -> None:
    refetch = np.array([[[True], [False], [True], [False]]])
    layer = attention(heads=4, keys=300, bits=(8, 4), refetch=refetch)
    exponents = spilled(300, 128)
    expected = 4 * 300 * (64 + 64) + 2 * 300 * (64 + 32) + 4 * exponents
    assert asked(SMALL, layer) == (expected, (4 + 2) * exponents)
    timeline = run(SMALL, layer)
    assert timeline.cycles > run(SMALL, replace(layer, refetch=None)).cycles


@pytest.mark.parametrize("engine", ["quick", "radix"])
def test_what_the_selection_cannot_hold_passes_through_memory(engine: str) -> None:
    layer = attention(heads=1, keys=3000, kept=500)
    topk = TopK(engine="radix") if engine == "radix" else TopK()
    machine = replace(FULL, topk=topk)
    work = machine.plan(layer)
    lines = 32 * -(-round(float(work.facts["select_cycles_mean"])) * 16 * 12 // 256)
    exponents = spilled(3000, 1024)
    written = lines if topk.draws else 0
    assert asked(machine, layer) == (3500 * 96 + 2 * exponents + lines, exponents + written)
    larger = replace(machine, topk=replace(topk, capacity=4096))
    assert asked(larger, layer) == (3500 * 96 + 2 * exponents, exponents)


def test_queries_come_with_every_segment_and_scores_once() -> None:
    layer = attention(
        heads=2, keys=300, token_scores=np.arange(300, dtype=np.uint32)[None, :], token_keep=100
    )
    machine = replace(SMALL, fetch_queries=True, store_scores=True, write_back=True)
    read, written = np.subtract(asked(machine, layer), asked(SMALL, layer))
    scores = 32 * -(-300 * 4 // 32)
    assert (read, written) == (2 * 3 * 96 + scores, 2 * 96 + scores)
    run(machine, layer)


def test_segments_hold_what_a_row_keeps() -> None:
    layer = attention(heads=2, queries=3, keys=300, kept=77)
    assert layer.scores is not None
    counts = kept_of_segments(layer, np.array([0, 128, 256, 300]))
    assert (counts.sum(axis=1) == 77).all()
    order = np.argsort(-layer.scores.reshape(6, 300).astype(int), axis=1, kind="stable")[:, :77]
    assert counts[:, 0].tolist() == (order < 128).sum(axis=1).tolist()


def test_the_work_of_the_arrays_is_that_of_short_rows() -> None:
    layer = attention(heads=3, queries=5, keys=1024, kept=300)
    short, long = FULL.plan(layer), SMALL.plan(layer)
    assert not is_long(FULL, layer)
    assert long.facts["segments"] == 8
    assert "8 segments" in long.notes[-1]
    for stage in ("qk", "exponent"):
        busy = [int((w.plan.busy * ~w.plan.skip)[:, w.plan.layout.stage(stage)].sum()) for w in (short, long)]
        assert busy[0] == busy[1]
    assert (long.macs_done, long.macs_dense) == (short.macs_done, short.macs_dense)
    assert run(SMALL, layer).cycles > run(FULL, layer).cycles


def test_values_wait_for_the_exponents_and_the_selection_of_their_row() -> None:
    layer = attention(
        heads=2, queries=3, keys=300, kept=50, bits=(6, 4), refetch=np.ones((1, 2, 3), np.bool_)
    )
    plan = SMALL.plan(layer).plan
    timeline = run(SMALL, layer)
    columns = {name: plan.layout.stage(name) for name in ("spill", "reload", "filter", "pv")}
    waits = plan.after[plan.after["stage"] == columns["reload"]]
    assert waits.size == 2 * 3 * (1 + 5)
    for row in plan.after:
        start = timeline.start[row["job"], row["stage"]]
        assert start >= timeline.end[row["other_job"], row["other_stage"]]


@pytest.mark.parametrize("seed", range(40))
def test_books_close_and_nothing_stands_still_on_any_long_layer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    batch, kv_heads, queries = int(rng.integers(1, 3)), int(rng.integers(1, 4)), int(rng.choice([1, 1, 2, 4]))
    keys, heads = int(rng.integers(20, 200)), kv_heads * int(rng.integers(1, 3))
    bits = [None, (6, 0), (6, 4), (8, 4)][rng.integers(4)]
    rows = (batch, heads, queries)
    layer = attention(
        batch=batch,
        heads=heads,
        kv_heads=kv_heads,
        queries=queries,
        keys=keys,
        dim=int(rng.choice([8, 20, 32])),
        value_dim=int(rng.choice([8, 32])),
        bits=bits,
        values=rng.integers(0, keys + 1, rows).astype(np.int32) if rng.random() < 0.6 else None,
        refetch=rng.random(rows) < 0.4 if bits and bits[1] else None,
        scores=rng.integers(0, 4097, (*rows, keys)).astype(np.uint16),
        token_scores=rng.integers(0, 999, (batch, keys)).astype(np.uint32),
        token_keep=int(rng.integers(0, keys + 1)),
    )
    terms = {
        name: bool(rng.integers(2))
        for name in ("fetch_queries", "write_newest", "store_scores", "write_back")
    }
    machine = replace(
        [FULL, EIGHTH, TINY][seed % 3],
        topk=TopK(width=4, capacity=16),
        share_kv=bool(rng.integers(2)),
        **terms,
    )
    # Two lines are the least that a store may have.
    machine = replace(machine, sram_bytes=int(rng.choice([2, 4, 9])) * machine.line_bytes)
    work = machine.plan(layer)
    timeline = run(machine, layer)
    assert timeline.cycles >= timeline.busy.max()
    again = work.facts["macs_again"]
    assert isinstance(again, int)
    assert 0 <= work.macs_done - again <= work.macs_dense


@pytest.mark.parametrize("machine", [FULL, EIGHTH, E2E, TINY], ids=["full", "eighth", "e2e", "tiny"])
def test_no_preset_refuses_a_long_context(machine: SpAtten) -> None:
    dim = min(64, machine.multipliers)
    layer = attention(heads=1, keys=5000, kept=1300, dim=dim, value_dim=dim)
    assert machine.refuse(layer) == ""
    assert run(machine, layer).cycles > 5000 / 8
