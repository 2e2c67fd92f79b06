"""A3: its times against n + 9 and 3 n + 27, its decisions against the golden search, its books."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accelsim.accelerators.a3 import A3, PRESETS
from accelsim.golden.approximate import greedy_candidates, post_scored
from accelsim.machine import simulate
from accelsim.parameters import replace_by_path
from accelsim.run import run
from accelsim.workload import Attention, Matmul, Workload

BASE, CONSERVATIVE, AGGRESSIVE = PRESETS["base"], PRESETS["conservative"], PRESETS["aggressive"]


def attention(*, heads: int = 1, queries: int = 20, keys: int = 48, **changes: Any) -> Attention:
    """Attention without scores."""
    given = {"kv_heads": heads, "dim": 64, "value_dim": 64}
    return Attention(name="a", heads=heads, queries=queries, keys=keys, **(given | changes))


def with_vectors(layer: Attention, seed: int = 0) -> Attention:
    """The layer with drawn Q, K and the scores that they make."""
    rng = np.random.default_rng(seed)
    query = rng.normal(size=(layer.batch, layer.heads, layer.queries, layer.dim))
    key = rng.normal(size=(layer.batch, layer.kv_heads, layer.keys, layer.dim))
    words, key_words = (np.rint(256 * each).astype(np.int16) for each in (query, key))
    shared = np.repeat(key, layer.heads // layer.kv_heads, axis=1)
    scores = np.exp(query @ shared.swapaxes(-1, -2) / np.sqrt(layer.dim))
    scores = np.rint(4096 * scores / scores.sum(axis=-1, keepdims=True)).astype(np.uint16)
    return replace(layer, scores=scores, query_vectors=words, key_vectors=key_words)


def compute_cycles(machine: A3, layer: Attention) -> int:
    return simulate(machine.plan(layer).plan, None).cycles


def read_bytes(machine: A3, layer: Attention) -> int:
    return machine.plan(layer).plan.bursts(write=False) * machine.dram.burst_bytes


@pytest.mark.parametrize("keys", [1, 48, 320])
@pytest.mark.parametrize("queries", [2, 20])
def test_a_query_takes_n_plus_9_cycles_and_leaves_after_3_n_plus_27(keys: int, queries: int) -> None:
    assert compute_cycles(BASE, attention(queries=queries, keys=keys)) == (queries + 2) * (keys + 9)


def test_one_pair_on_chip_exposes_what_two_hide() -> None:
    layer = attention(heads=3)
    assert compute_cycles(BASE, layer) == 3 * (20 + 2) * (48 + 9)
    assert compute_cycles(replace(BASE, pairs=2), layer) == (3 * 20 + 2) * (48 + 9)


def test_arrays_that_work_in_turn_take_twice_as_long_for_a_query() -> None:
    machine = replace(BASE, arrays="in_turn")
    more, less = (compute_cycles(machine, attention(queries=queries)) for queries in (40, 20))
    assert more - less == 20 * 2 * (48 + 9)
    assert 2 * machine.peak_ops_per_second == BASE.peak_ops_per_second == 256e9


def test_without_q_and_k_every_iteration_finds_a_candidate_and_sorting_is_charged() -> None:
    layer = attention(keys=64)
    assert compute_cycles(CONSERVATIVE, layer) == 64 * 6 + (20 + 3) * (32 + 9)
    assert compute_cycles(replace(CONSERVATIVE, sorters=16), layer) == 4 * 64 * 6 + (20 + 3) * (32 + 9)
    work = CONSERVATIVE.plan(layer)
    assert any("candidate_share" in note for note in work.notes)
    assert work.macs_done == 20 * (32 + 32) * 64


@pytest.mark.parametrize("machine", [CONSERVATIVE, AGGRESSIVE], ids=["conservative", "aggressive"])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_decisions_are_those_of_the_golden_search_on_the_models_own_vectors(
    machine: A3, kv_heads: int
) -> None:
    layer = with_vectors(attention(heads=4, kv_heads=kv_heads, batch=2))
    assert layer.query_vectors is not None
    assert layer.key_vectors is not None
    assert layer.scores is not None
    candidates, kept = [], []
    for sequence, head in np.ndindex(2, 4):
        # 4 bits before the point and 4 behind it.
        query, key = (
            np.clip(np.rint(vectors / 16.0), -256, 255)
            for vectors in (
                layer.query_vectors[sequence, head],
                layer.key_vectors[sequence, head * kv_heads // 4],
            )
        )
        found = greedy_candidates(query, key, int(machine.iterations * 48))
        candidates.append(found.sum(axis=1))
        kept.append(post_scored(layer.scores[sequence, head], found, machine.threshold).sum(axis=1))
    work = machine.plan(layer)
    stage = work.plan.layout.stage
    assert work.plan.busy[:, stage("dot")].tolist() == (np.concatenate(candidates) + 9).tolist()
    assert work.plan.busy[:, stage("output")].tolist() == (np.concatenate(kept) + 9).tolist()
    assert work.macs_done == (np.sum(candidates) + np.sum(kept)) * 64
    assert work.macs_done + work.facts["macs_skipped"] == work.macs_dense == layer.macs
    slowest = np.maximum(np.concatenate(candidates), int(machine.iterations * 48)) + 9
    loads = 2 * kv_heads
    fill = loads * (machine.sort_cycles(48, 64) + 3 * (48 + 9))
    assert slowest.sum() < compute_cycles(machine, layer) <= slowest.sum() + fill


def test_more_iterations_find_more_of_the_probability() -> None:
    layer = with_vectors(attention(keys=200))
    shares = [
        replace(CONSERVATIVE, iterations=share).plan(layer).facts["kept_probability"]
        for share in (1 / 16, 1 / 8, 1 / 4, 1 / 2)
    ]
    assert shares == sorted(shares)
    assert 0 < float(shares[0]) < float(shares[-1]) < 1


def test_q_k_and_v_are_read_whole_whatever_was_pruned() -> None:
    layer = attention(heads=4)
    pruned = attention(
        heads=3,
        queries=10,
        keys=24,
        dense_heads=4,
        dense_queries=20,
        dense_keys=48,
        bits=(8, 4),
        values=np.full((1, 3, 10), 3, np.int32),
        scores=np.full((1, 3, 10, 24), 4096 // 24, np.uint16),
    )
    # 9 bits x 64 are 72 bytes, three bursts.
    assert read_bytes(BASE, layer) == read_bytes(AGGRESSIVE, pruned) == 4 * (20 + 2 * 48) * 96
    assert compute_cycles(BASE, layer) == compute_cycles(BASE, pruned)
    notes = AGGRESSIVE.plan(pruned).notes
    assert any(note.startswith("no cascade") for note in notes)
    assert any(note.startswith("Q, K and V are not quantised") for note in notes)


def test_query_heads_of_one_kv_head_share_what_is_loaded_and_sorted() -> None:
    layer = attention(heads=8, kv_heads=2)
    assert read_bytes(BASE, layer) == (8 * 20 + 2 * 2 * 48) * 96
    assert read_bytes(replace(BASE, share_kv=False), layer) == 8 * (20 + 2 * 48) * 96


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Matmul(name="a", m=2, n=2, k=2), "attention only, not matmul"),
        (attention(queries=1), "generation (1 query on a K of its own) is not supported by A3"),
        (attention(keys=321), "keys must be <= 320 (capacity), not 321"),
        (attention(dim=65), "dim must be <= 64 (lanes), not 65"),
        (attention(value_dim=80), "value_dim must be <= 64 (lanes), not 80"),
        (attention(keys=200, dense_keys=400), "keys must be <= 320 (capacity), not 400"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(layer: Attention | Matmul, reason: str) -> None:
    assert BASE.refuse(layer).startswith(reason)
    assert "\n" not in BASE.refuse(layer)
    with pytest.raises(ValueError, match="layer 'a': "):
        BASE.plan(layer)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("lanes", "0", "lanes must be >= 1, not 0"),
        ("overhead", "-1", "overhead must be >= 0, not -1"),
        ("iterations", "1.5", r"iterations must be 0\.\.1, not 1.5"),
        ("clock_hz", "0", "clock_hz must be > 0, not 0"),
        ("element_bits", "17", r"element_bits must be 2\.\.16, not 17"),
        ("fraction_bits", "9", r"fraction_bits must be 0\.\.8, not 9"),
        ("arrays", "both", "arrays must be one of in_turn, together, not 'both'"),
    ],
)
def test_wrong_parameters_are_refused(name: str, value: str, message: str) -> None:
    with pytest.raises(ValueError, match=name if name == "arrays" else message):
        replace_by_path(BASE, name, value)


@pytest.mark.parametrize("seed", range(6))
def test_books_close_whatever_the_layer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kv_heads, keys = int(rng.integers(1, 4)), int(rng.integers(1, 40))
    layer = attention(
        heads=kv_heads * int(rng.integers(1, 3)),
        kv_heads=kv_heads,
        queries=int(rng.integers(2, 9)),
        keys=keys,
        batch=int(rng.integers(1, 3)),
        dim=int(rng.choice([8, 20, 64])),
        value_dim=int(rng.choice([8, 32])),
    )
    layer = with_vectors(layer, seed) if rng.random() < 0.7 else layer
    machine = replace(
        [BASE, CONSERVATIVE, AGGRESSIVE][seed % 3],
        arrays=["together", "in_turn"][seed % 2],
        pairs=int(rng.integers(1, 3)),
        write_back=True,
    )
    report = run(Workload(model="w", layers=(layer,)), machine)
    assert report.speedup == 1.0
    assert report.write_bytes == layer.batch * layer.heads * layer.queries * (
        -(-layer.value_dim * 9 // 256) * 32
    )
    assert report.cycles >= report.compute_cycles > 0
