"""SpAtten: its plans against closed forms, bytes by hand, books and refusals."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from spatten_layers import EIGHTH, FULL, PIPELINE, TINY, attention, compute_cycles, read_bytes, time_of

from accelsim.accelerators.base import Accelerator
from accelsim.accelerators.spatten import Softmax, SpAtten
from accelsim.machine import CAUSES, simulate
from accelsim.parameters import replace_by_path
from accelsim.workload import Attention, Matmul, Unknown


def drawn_layer(rng: np.random.Generator) -> Attention:
    """Anything small that the full machine takes."""
    batch, kv_heads, keys = (int(rng.integers(1, most)) for most in (3, 4, 40))
    heads, queries = kv_heads * int(rng.integers(1, 3)), int(rng.choice([1, 1, 2, 5]))
    bits = [None, (4, 0), (6, 0), (6, 4), (8, 4), (10, 4), (12, 0)][rng.integers(7)]
    rows = (batch, heads, queries)
    tokens = np.array([np.sort(rng.choice(keys + 5, keys, replace=False)) for _ in range(batch)], np.int32)
    return attention(
        batch=batch,
        heads=heads,
        kv_heads=kv_heads,
        queries=queries,
        keys=keys,
        dim=int(rng.choice([8, 20, 32])),
        value_dim=int(rng.choice([8, 32])),
        seed=int(rng.integers(1000)),
        bits=bits,
        values=rng.integers(0, keys + 1, rows).astype(np.int32) if rng.random() < 0.6 else None,
        refetch=rng.random(rows) < 0.4 if bits and bits[1] else None,
        tokens=tokens,
        dense_keys=keys + 5,
        token_scores=rng.integers(0, 999, (batch, keys)).astype(np.uint32),
        token_keep=int(rng.integers(0, keys + 1)),
        head_scores=rng.integers(0, 99, heads).astype(np.uint32),
        head_keep=int(rng.integers(0, heads + 1)),
    )


def test_the_full_machine_has_the_sizes_of_table_one() -> None:
    accelerator: Accelerator = FULL
    assert accelerator.name == "spatten"
    assert FULL.sram_bytes == 2 * 1024 * 64 * 12 // 8 == 196_608
    assert FULL.lines * FULL.line_bytes == FULL.sram_bytes
    assert FULL.dram_bytes_per_cycle == 512
    assert FULL.scores_per_cycle(64) == 8
    assert FULL.peak_ops_per_second == 2.048e12
    assert FULL.longest_row(64) == 1024


def test_the_eighth_machine_has_an_eighth_of_multipliers_and_bandwidth_and_all_of_the_sram() -> None:
    assert 8 * EIGHTH.peak_ops_per_second == FULL.peak_ops_per_second
    assert 8 * EIGHTH.dram_bytes_per_cycle == FULL.dram_bytes_per_cycle
    assert EIGHTH.sram_bytes == FULL.sram_bytes


@pytest.mark.parametrize(
    ("dim", "scores", "vectors"), [(64, 8, 8), (32, 8, 16), (20, 8, 16), (80, 4, 4), (512, 1, 1)]
)
def test_vectors_are_padded_to_the_next_width_that_divides_the_array(
    dim: int, scores: int, vectors: int
) -> None:
    assert (FULL.scores_per_cycle(dim), FULL.vectors_per_line(dim)) == (scores, vectors)


@pytest.mark.parametrize("keys", [1, 8, 61, 128])
@pytest.mark.parametrize("machine", [FULL, EIGHTH, TINY], ids=["full", "eighth", "tiny"])
def test_dense_summarisation_is_bound_by_qk_but_for_one_pipeline(machine: SpAtten, keys: int) -> None:
    dim = min(64, machine.multipliers)
    layer = attention(heads=3, queries=min(keys, 40), keys=keys, dim=dim, value_dim=dim)
    per_row = -(-keys // machine.scores_per_cycle(dim))
    # Whole bursts for each vector: a pair of heads would fill the store of the tiny machine.
    machine = replace(machine, dense_bits=8)
    assert compute_cycles(machine, layer) == 3 * layer.queries * per_row + PIPELINE + per_row


def test_rows_of_a_full_context_do_not_wait_for_the_softmax() -> None:
    layer = attention(heads=1, queries=30, keys=1024)
    assert compute_cycles(FULL, layer) == 30 * 128 + PIPELINE + 128


def test_a_single_score_fifo_goes_to_the_next_row_when_the_division_starts() -> None:
    machine = replace(FULL, softmax=Softmax(fifos=1))
    plan = machine.plan(attention(heads=1, queries=5, keys=1024)).plan
    start = simulate(plan, None).start[:, plan.layout.stage("qk")]
    assert np.diff(start).tolist() == 4 * [11 + 128 + 51]


def test_generation_is_bound_by_memory_where_multipliers_suffice() -> None:
    machine = replace(EIGHTH, dram=replace(EIGHTH.dram, tREFI=10**9))
    work = machine.plan(attention(heads=40, keys=256))
    moved = 40 * 2 * 256 * 96
    timeline = time_of(machine, work)
    assert timeline.traffic.read_bursts * 32 == moved
    # The last row is computed when its bytes are there: QxK and PxV at one vector a cycle.
    assert moved / 64 <= timeline.cycles
    fetching = sum(
        int(timeline.busy[index] + timeline.stalled[index, CAUSES.index("memory")])
        for index, name in enumerate(timeline.stages)
        if name.startswith("fetch")
    )
    assert timeline.cycles - fetching <= 2 * 256 + PIPELINE + 200


@pytest.mark.parametrize(
    ("bits", "bursts"), [(4, 1), (6, 1.5), (8, 2), (10, 3), (12, 3), (32, 8)], ids=lambda value: str(value)
)
@pytest.mark.parametrize("kept", [None, 7], ids=["all values", "seven values"])
def test_a_vector_of_64_takes_the_bursts_of_its_width(bits: int, bursts: float, kept: int | None) -> None:
    layer = attention(heads=2, keys=11, kept=kept, bits=(bits, 0))
    assert read_bytes(FULL, layer) == 2 * (11 + (kept or 11)) * bursts * 32


def test_rows_that_refetch_bring_four_more_bits_of_each_key() -> None:
    refetch = np.array([[[True], [False], [True], [False]]])
    layer = attention(heads=4, keys=921, kept=184, bits=(6, 4), refetch=refetch)
    assert read_bytes(FULL, layer) == 4 * (921 + 184) * 48 + 2 * 921 * 32


def test_in_summarisation_the_lsbs_of_a_head_come_once() -> None:
    refetch = np.ones((1, 3, 5), np.bool_)
    layer = attention(heads=3, queries=5, keys=20, bits=(8, 4), refetch=refetch)
    assert read_bytes(FULL, layer) == 3 * 20 * (64 + 64 + 32)


def test_a_layer_that_is_not_quantised_has_the_width_of_the_parameter() -> None:
    layer = attention(heads=2, keys=16)
    assert read_bytes(FULL, layer) == 2 * 2 * 16 * 96
    assert read_bytes(replace(FULL, dense_bits=32), layer) == 2 * 2 * 16 * 256
    assert read_bytes(replace(FULL, value_bits=8), replace(layer, bits=(12, 0))) == 2 * 16 * (96 + 64)


def test_summarisation_fetches_a_head_once_and_pruned_values_save_no_bytes() -> None:
    dense, pruned = (attention(heads=3, queries=9, keys=32, kept=kept) for kept in (None, 4))
    assert read_bytes(FULL, dense) == read_bytes(FULL, pruned) == 3 * 2 * 32 * 96


@pytest.mark.parametrize("queries", [1, 5])
def test_query_heads_of_one_kv_head_share_its_fetch_unless_told_otherwise(queries: int) -> None:
    layer = attention(heads=8, kv_heads=2, queries=queries, keys=16)
    assert read_bytes(FULL, layer) == 2 * 2 * 16 * 96
    assert read_bytes(replace(FULL, share_kv=False), layer) == 8 * 2 * 16 * 96


def test_a_pruned_partner_is_not_fetched_with_its_pair() -> None:
    both = attention(heads=2, keys=16, bits=(6, 0), dense_heads=4, head_ids=np.array([0, 1], np.int32))
    apart = replace(both, head_ids=np.array([0, 3], np.int32))
    assert read_bytes(FULL, both) == 2 * 2 * 16 * 48
    assert read_bytes(FULL, apart) == 2 * 2 * 16 * 64


def test_surviving_tokens_keep_their_addresses() -> None:
    tokens = np.array([[0, 1, 5]], np.int32)
    plan = FULL.plan(attention(heads=2, keys=3, tokens=tokens, dense_keys=8)).plan
    keys = plan.runs[plan.runs["stage"] == 0]
    assert keys["address"].tolist() == [0, 5 * 96, 8 * 96, (8 + 5) * 96]
    assert keys["count"].tolist() == [6, 3, 6, 3]


def test_values_are_fetched_at_the_places_of_the_largest_scores() -> None:
    scores = np.array([[[[5, 9, 5, 0, 9, 5]]]], np.uint16)
    plan = FULL.plan(attention(heads=1, keys=6, kept=3, scores=scores)).plan
    values = plan.runs[plan.runs["stage"] == plan.layout.stage("fetch_values")]
    # K lies first: 6 keys of 96 bytes. The first of the three fives wins.
    assert values["address"].tolist() == [6 * 96 + 96 * token for token in (0, 1, 4)]


def test_more_pruning_never_fetches_more() -> None:
    for bits in (None, (4, 0), (6, 0), (8, 4)):
        by_values = [read_bytes(FULL, attention(keys=60, kept=kept, bits=bits)) for kept in range(61)]
        by_tokens = [
            read_bytes(FULL, attention(keys=keys, dense_keys=60, bits=bits)) for keys in range(1, 61)
        ]
        grouped = attention(heads=8, kv_heads=2, keys=60, bits=bits)
        by_group = [
            read_bytes(FULL, replace(grouped, values=np.full((1, 8, 1), kept, np.int32)))
            for kept in range(61)
        ]
        for asked in (by_values, by_tokens, by_group):
            assert asked == sorted(asked)


@pytest.mark.parametrize("queries", [1, 6])
def test_decisions_that_prune_nothing_equal_no_decisions_to_the_cycle(queries: int) -> None:
    dense = attention(heads=4, queries=queries, keys=50, scores=None)
    undecided = attention(
        heads=4,
        queries=queries,
        keys=50,
        kept=50,
        tokens=np.arange(50, dtype=np.int32)[None, :],
        token_scores=np.arange(50, dtype=np.uint32)[None, :],
        token_keep=50,
        head_scores=np.arange(4, dtype=np.uint32),
        head_keep=4,
    )
    one, other = FULL.plan(dense), FULL.plan(undecided)
    assert (time_of(FULL, one).end == time_of(FULL, other).end).all()
    assert (one.macs_done, one.macs_dense) == (other.macs_done, other.macs_dense)


def test_macs_are_those_of_the_unpruned_model_and_those_that_are_done() -> None:
    refetch = np.zeros((1, 2, 3), np.bool_)
    refetch[0, 1, 2] = True
    layer = attention(
        heads=2,
        queries=3,
        keys=10,
        kept=4,
        bits=(8, 4),
        refetch=refetch,
        dense_heads=3,
        dense_queries=5,
        dense_keys=20,
    )
    work = FULL.plan(layer)
    assert work.macs_dense == 3 * 5 * 20 * 128
    assert work.macs_done == 7 * 10 * 64 + 6 * 4 * 64
    assert work.facts["macs_again"] == 10 * 64
    assert work.facts["refetched_share"] == pytest.approx(1 / 6)


@pytest.mark.parametrize("seed", range(60))
def test_books_close_and_no_roof_is_broken_on_any_layer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    layer = drawn_layer(rng)
    machine = replace(
        [FULL, EIGHTH, TINY][seed % 3], write_back=bool(seed % 2), share_kv=bool(rng.integers(2))
    )
    row_lines = -(
        -layer.keys // min(machine.vectors_per_line(layer.dim), machine.vectors_per_line(layer.value_dim))
    )
    fifo_depth = -(-layer.keys // machine.softmax.parallelism)
    # No more room than one row needs, twice: a deadlock would show here.
    tight = replace(
        machine,
        sram_bytes=2 * row_lines * machine.line_bytes,
        softmax=replace(machine.softmax, fifo_depth=fifo_depth, fifos=1),
    )
    for work in (machine.plan(layer), tight.plan(layer)):
        work.plan.check()
        timeline = time_of(machine, work)
        total = timeline.busy + timeline.stalled.sum(axis=1) + timeline.idle
        for number, name in enumerate(timeline.stages):
            if name.startswith("sum"):  # the FIFO is read from the cycle on in which its lines are given away
                works = ~work.plan.skip[:, number]
                assert (timeline.start[works, number] == timeline.start[works, number + 1]).all()
        assert (total == timeline.cycles).all()
        assert timeline.idle.min() >= 0
        assert timeline.traffic.read_bursts == work.plan.bursts(write=False)
        assert timeline.traffic.write_bursts == work.plan.bursts(write=True) > 0 or not machine.write_back
        bursts = timeline.traffic.read_bursts + timeline.traffic.write_bursts
        assert timeline.cycles >= bursts * machine.dram.burst_bytes / machine.dram_bytes_per_cycle
        assert timeline.cycles >= timeline.busy.max()
        again = work.facts["macs_again"]
        assert isinstance(again, int)
        assert 0 <= work.macs_done - again <= work.macs_dense


def test_the_same_layer_gives_the_same_plan() -> None:
    layers = [drawn_layer(np.random.default_rng(3)) for _ in range(2)]
    plans = [FULL.plan(layer).plan for layer in layers]
    for name in ("busy", "lag", "drain", "whole", "skip", "take", "give", "runs", "after"):
        assert (getattr(plans[0], name) == getattr(plans[1], name)).all()


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Matmul(name="fc", m=1, n=2, k=3), "attention only"),
        (Unknown(name="scan", op="selective_scan"), "not selective_scan"),
        (attention(dim=513), "dim must be 1..512"),
        (attention(value_dim=513), "value_dim must be 1..512"),
        (attention(bits=(7, 0)), "not 7+0"),
        (attention(bits=(8, 2)), "not 8+2"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_it_cannot_run_it_refuses_in_one_line(layer: Any, reason: str) -> None:
    assert reason in FULL.refuse(layer)
    assert "\n" not in FULL.refuse(layer)
    with pytest.raises(ValueError, match="layer"):
        FULL.plan(layer)


def test_pruned_values_without_scores_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"'attention': scores must be there"):
        FULL.plan(attention(kept=3, scores=None))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("multipliers", "0", "multipliers must be >= 1, not 0"),
        ("topk.width", "12", "topk.width must be a power of two up to 64, not 12"),
        ("topk.bits", "11", "topk.bits must be >= 12 .probabilities., not 11"),
        (
            "topk.pivot",
            "median",
            "topk.pivot must be one of published, uniform, reservoir, rank_adaptive, not",
        ),
        ("softmax.parallelism", "0", "softmax.parallelism must be >= 1, not 0"),
        ("softmax.divide", "-1", "softmax.divide must be >= 0, not -1"),
        ("dense_bits", "7", "dense_bits must be one of"),
        ("sram_bytes", "1000", "sram_bytes must hold two lines"),
        ("clock_hz", "0", "clock_hz must be > 0"),
    ],
)
def test_parameters_that_make_no_machine_are_refused(path: str, value: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace_by_path(FULL, path, value)


def test_assumptions_follow_the_parameters() -> None:
    assert any("of 12 bits (dense_bits)" in line for line in FULL.assumptions())
    assert any("of 32 bits (dense_bits)" in line for line in replace(FULL, dense_bits=32).assumptions())
