"""MnnFast: its times against one key a cycle, what it skips against golden, its passes and its books."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accelsim.accelerators.mnnfast import PRESETS, MnnFast
from accelsim.accelerators.spatten import PRESETS as SPATTEN
from accelsim.golden.approximate import above
from accelsim.machine import simulate
from accelsim.parameters import replace_by_path
from accelsim.run import run
from accelsim.workload import Attention, Unknown, Workload

EIGHTH = PRESETS["eighth"]

# QxK 11, exponent 28, PxV 5, and the division of 64 outputs, 8 a cycle and 29 deep.
PIPELINE = 11 + 28 + 5 + 8 + 29


def attention(
    *, heads: int = 1, queries: int = 20, keys: int = 100, seed: int = 0, **changes: Any
) -> Attention:
    """Attention with drawn scores, a few of which are large."""
    shape = (changes.get("batch", 1), heads, queries, keys)
    weights = np.exp(3 * np.random.default_rng(seed).normal(size=shape))
    scores = np.rint(4096 * weights / weights.sum(axis=-1, keepdims=True)).astype(np.uint16)
    given = {"kv_heads": heads, "dim": 64, "value_dim": 64, "scores": scores}
    return Attention(name="a", heads=heads, queries=queries, keys=keys, **(given | changes))


def compute_cycles(machine: MnnFast, layer: Attention) -> int:
    return simulate(machine.plan(layer).plan, None).cycles


def read_bytes(machine: MnnFast, layer: Attention) -> int:
    return machine.plan(layer).plan.bursts(write=False) * machine.dram.burst_bytes


def test_it_has_the_multipliers_and_the_bandwidth_of_an_eighth_of_spatten() -> None:
    eighth = SPATTEN["eighth"]
    assert EIGHTH.peak_ops_per_second == eighth.peak_ops_per_second == 256e9
    assert EIGHTH.dram == eighth.dram
    assert replace(EIGHTH, arrays="in_turn").peak_ops_per_second == 128e9


@pytest.mark.parametrize("keys", [64, 100, 128])
def test_a_key_takes_a_cycle(keys: int) -> None:
    machine = replace(EIGHTH, threshold=0.0)
    assert compute_cycles(machine, attention(keys=keys)) == (20 + 1) * keys + PIPELINE


def test_skipped_values_save_no_time_but_where_the_arrays_work_in_turn() -> None:
    layer = attention()
    kept = int(above(layer.scores, 409.6).sum())
    whole = replace(EIGHTH, threshold=0.0)
    steps = [compute_cycles(machine, layer) for machine in (whole, EIGHTH)]
    assert 0 <= steps[0] - steps[1] <= 100
    turns = [compute_cycles(replace(machine, arrays="in_turn"), layer) for machine in (whole, EIGHTH)]
    assert turns[0] - turns[1] == pytest.approx(20 * 100 - kept, rel=0.05)


@pytest.mark.parametrize("chunk", [7, 64, 128])
def test_what_is_skipped_is_what_lies_below_the_threshold(chunk: int) -> None:
    layer = attention(heads=3)
    machine = replace(EIGHTH, chunk_keys=chunk)
    used = above(layer.scores.reshape(-1, 100), 409.6)
    work = machine.plan(layer)
    busy = work.plan.busy[:, work.plan.layout.stage("pv")].reshape(3, -1, 20)
    by_chunk = [used.reshape(3, 20, 100)[:, :, i : i + chunk].sum(axis=2) for i in range(0, 100, chunk)]
    assert busy.tolist() == np.stack(by_chunk, axis=1).tolist()
    assert work.macs_done == 3 * 20 * 100 * 64 + used.sum() * 64
    assert work.macs_done + work.facts["macs_skipped"] == work.macs_dense == layer.macs


def test_all_of_q_k_and_v_is_read_and_more_queries_than_fit_read_k_and_v_again() -> None:
    layer = attention(heads=2)
    assert read_bytes(EIGHTH, layer) == 2 * (20 + 2 * 100) * 96
    assert read_bytes(replace(EIGHTH, query_rows=20), layer) == 2 * (20 + 2 * 100) * 96
    assert read_bytes(replace(EIGHTH, query_rows=8), layer) == 2 * (20 + 3 * 2 * 100) * 96
    assert read_bytes(replace(EIGHTH, query_rows=1, chunk_keys=30), layer) == 2 * (20 + 20 * 2 * 100) * 96


def test_scores_of_what_a_cascade_left_stand_for_all_rows() -> None:
    pruned = attention(heads=2, queries=10, keys=50, dense_heads=4, dense_queries=20, dense_keys=100)
    work = EIGHTH.plan(pruned)
    used = above(pruned.scores, 409.6).sum(axis=3)[0]
    assert work.macs_dense == 4 * 20 * 100 * 128
    assert work.macs_done == 4 * 20 * 100 * 64 + 4 * int(used.sum()) * 64
    assert any("stands for them" in note for note in work.notes)


def test_without_scores_the_share_is_a_parameter_and_said() -> None:
    layer = attention(scores=None)
    work = replace(EIGHTH, kept_share=0.25).plan(layer)
    assert work.macs_done == 20 * (100 + 25) * 64
    assert "no scores in the workload: V are used by kept_share" in work.notes


def test_generation_streams_k_and_v() -> None:
    layer = attention(heads=2, queries=1, keys=300)
    assert read_bytes(EIGHTH, layer) == 2 * (1 + 600) * 96
    assert EIGHTH.refuse(layer) == ""


def test_what_does_not_fit_is_refused_in_one_line() -> None:
    assert EIGHTH.refuse(Unknown(name="scan", op="aten.scan")) == "attention only, not aten.scan"
    assert EIGHTH.refuse(attention(dim=65)) == "dim must be <= 64 (multipliers), not 65"
    with pytest.raises(ValueError, match="layer 'a': value_dim must be <= 64"):
        EIGHTH.plan(attention(value_dim=72))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("chunk_keys", "0", "chunk_keys must be >= 1, not 0"),
        ("pv_latency", "-1", "pv_latency must be >= 0, not -1"),
        ("threshold", "2", r"threshold must be 0\.\.1, not 2"),
        ("clock_hz", "0", "clock_hz must be > 0, not 0"),
    ],
)
def test_wrong_parameters_are_refused(name: str, value: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace_by_path(EIGHTH, name, value)


@pytest.mark.parametrize("seed", range(8))
def test_books_close_whatever_the_layer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kv_heads = int(rng.integers(1, 4))
    layer = attention(
        heads=kv_heads * int(rng.integers(1, 3)),
        kv_heads=kv_heads,
        queries=int(rng.choice([1, 2, 9])),
        keys=int(rng.integers(1, 60)),
        batch=int(rng.integers(1, 3)),
        dim=int(rng.choice([8, 20, 64])),
        value_dim=int(rng.choice([8, 32])),
        seed=seed,
    )
    machine = replace(
        EIGHTH,
        arrays=["together", "in_turn"][seed % 2],
        chunk_keys=int(rng.choice([1, 16, 64])),
        query_rows=int(rng.choice([1, 4, 64])),
        write_back=True,
    )
    report = run(Workload(model="w", layers=(layer,)), machine)
    vectors = layer.batch * layer.heads * layer.queries
    assert report.write_bytes == vectors * -(-layer.value_dim * 12 // 256) * 32
    assert report.cycles >= report.compute_cycles >= vectors * -(-layer.keys // (64 // layer.dim))
