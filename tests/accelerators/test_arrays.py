"""Systolic and SAT: cycles against the closed forms, traffic against counts by hand."""

from __future__ import annotations

from dataclasses import replace

import numba
import numpy as np
import pytest

from accelsim.accelerators.base import memory_of
from accelsim.accelerators.folds import Folds, output_stationary, weight_stationary
from accelsim.accelerators.gemm import Array, Gemm
from accelsim.accelerators.products import find_pattern
from accelsim.accelerators.sat import PAPER, TINY, Sat
from accelsim.accelerators.systolic import Systolic
from accelsim.golden.formats import Bitmap, select_nm
from accelsim.machine import simulate
from accelsim.workload import Attention, Matmul

ROOMY = Array(rows=32, cols=32, activation_buffer=1 << 22, weight_buffer=1 << 22, output_buffer=1 << 22)


def ceil(a: int, b: int) -> int:
    return -(-a // b)


def closed_form(flow: str, m: int, n: int, k: int, kept: int, group: int, held: int, r: int, c: int) -> int:
    """Cycles of SCALE-Sim (held = 1) and of the time-multiplexed element, written from the sheet."""
    if flow == "os":
        return ceil(m, r) * ceil(n, c) * (ceil(k, group) * kept + r + c - 2)
    if held == 1:
        return ceil(ceil(k, group) * kept, r) * ceil(n, c) * (m + 2 * r + c - 2)
    return ceil(ceil(k, group), r) * ceil(n, c) * (held * m + held * r + r + c - 2)


def matmul(m: int, n: int, k: int, pattern: tuple[int, int] | None = None, seed: int = 0) -> Matmul:
    """A product with a random mask of exactly that pattern."""
    if pattern is None:
        return Matmul(name="gemm", m=m, n=n, k=k)
    mask = select_nm(np.random.default_rng(seed).random((n, k)), *pattern)
    stated = {"pattern": f"{pattern[0]}:{pattern[1]}"}
    return Matmul(name="gemm", m=m, n=n, k=k, mask=Bitmap.pack(mask), geometry=stated)


def compute_cycles(machine: Systolic | Sat, layer: Matmul | Attention) -> int:
    """Through the engine, with unlimited memory."""
    return simulate(machine.plan(layer).plan, None).cycles


# SCALE-Sim 3.0.0, 32 x 32: what it printed (the index of the last cycle), so one less than the cycles.
SCALE_SIM = [
    ((64, 64, 64), None, 503, 631),
    ((256, 128, 576), None, 20415, 25199),
    ((100, 70, 147), None, 2507, 2909),
    ((512, 96, 512), None, 27551, 29087),
    ((1024, 256, 1152), None, 310783, 321983),
    ((512, 96, 512), (2, 4), None, 14543),
    ((512, 96, 512), (2, 8), 9119, 7271),
    ((512, 96, 512), (2, 16), None, 3635),
    ((256, 128, 576), (2, 4), None, 12599),
    ((256, 128, 576), (2, 8), None, 6999),
    ((256, 128, 576), (2, 16), None, 4199),
    ((100, 70, 147), (2, 8), None, 1163),
    ((100, 70, 147), (2, 4), None, 1745),
    ((100, 70, 512), (6, 8), None, 6983),
]


@pytest.mark.parametrize(("shape", "pattern", "os", "ws"), SCALE_SIM)
def test_systolic_has_the_cycles_that_scale_sim_printed(
    shape: tuple[int, int, int], pattern: tuple[int, int] | None, os: int | None, ws: int
) -> None:
    layer = matmul(*shape, pattern)
    assert compute_cycles(Systolic(dataflow="ws"), layer) == ws + 1
    if os is not None:
        assert compute_cycles(Systolic(dataflow="os"), layer) == os + 1


# ResNet-9, batch 512: m x n x k, then OS dense, WS dense, OS 2:8, WS 2:8 (slot model).
RESNET9 = [
    ((524288, 128, 576), 41811968, 37755504, 13500416, 10487640),
    ((131072, 1152, 256), 46891008, 37775808, 18579456, 9443952),
    ((8192, 512, 4608), 19128320, 19090944, 4972544, 4772736),
]


@pytest.mark.parametrize(("shape", "os", "ws", "sparse_os", "sparse_ws"), RESNET9)
def test_large_layers_equal_the_table(
    shape: tuple[int, int, int], os: int, ws: int, sparse_os: int, sparse_ws: int
) -> None:
    m, n, k = shape
    dense, sparse = Gemm(m=m, n=n, k=k), Gemm(m=m, n=n, k=k, kept=2, group=8, weight_bits=19)
    assert output_stationary(dense, ROOMY).compute_cycles == os
    assert weight_stationary(dense, ROOMY).compute_cycles == ws
    assert output_stationary(sparse, ROOMY).compute_cycles == sparse_os
    assert weight_stationary(sparse, ROOMY).compute_cycles == sparse_ws


def random_case(seed: int) -> tuple[Gemm, Array]:
    """Any shape, any pattern, any array, buffers from tight to roomy."""
    rng = np.random.default_rng(seed)
    group = int(rng.integers(1, 17))
    kept = int(rng.integers(1, group + 1))
    if kept == group:
        kept = group = 1
    m, n, k = (int(size) for size in rng.integers(1, 260, 3))
    gemm = Gemm(
        m=m, n=n, k=k, kept=kept, group=group, held=kept if rng.random() < 0.5 else 1,
        weight_bits=16 + (group - 1).bit_length(),
    )  # fmt: skip
    array = Array(
        rows=int(rng.integers(1, 33)),
        cols=int(rng.integers(1, 33)),
        activation_buffer=int(2 ** rng.integers(15, 20)),
        weight_buffer=int(2 ** rng.integers(12, 20)),
        output_buffer=int(2 ** rng.integers(10, 20)),
    )
    return gemm, array


@pytest.mark.parametrize("seed", range(60))
def test_pieces_add_up_to_the_closed_form_whatever_the_buffers(seed: int) -> None:
    gemm, array = random_case(seed)
    for flow, make in (("os", output_stationary), ("ws", weight_stationary)):
        folds = make(gemm, array)
        held = gemm.held if flow == "ws" else 1
        expected = closed_form(
            flow, gemm.m, gemm.n, gemm.k, gemm.kept, gemm.group, held, array.rows, array.cols
        )
        plan = folds.plan(array, 64)
        plan.check()
        assert folds.compute_cycles == expected
        assert simulate(plan, None).cycles == expected
        limited = simulate(plan, memory_of(PAPER))
        assert limited.cycles >= expected
        assert limited.traffic.read_bursts == plan.bursts(write=False)


@pytest.mark.parametrize("seed", range(30))
def test_every_operand_is_fetched_at_least_once_and_every_output_stored_once(seed: int) -> None:
    gemm, array = random_case(seed)
    for make in (output_stationary, weight_stationary):
        folds = make(gemm, array)
        stored = folds.outputs.sum() - folds.partials.sum()
        tiles = (folds.outputs > 0).sum()
        assert folds.weights.sum() * 8 >= gemm.n * gemm.stream * gemm.weight_bits
        assert folds.activations.sum() * 8 >= gemm.m * gemm.k * gemm.activation_bits
        assert 0 <= stored * 8 - gemm.m * gemm.n * gemm.output_bits <= 8 * tiles
        for take, give in (
            (folds.activations, folds.activations_give),
            (folds.weights, folds.weights_give),
            (folds.sums_take, folds.sums_give),
        ):
            held = np.cumsum(take - give)
            assert held.min() >= 0
            assert held[-1] == 0


def test_buffers_that_hold_everything_move_each_operand_once() -> None:
    gemm = Gemm(m=96, n=64, k=128)
    for make in (output_stationary, weight_stationary):
        assert make(gemm, ROOMY).traffic_bytes == 2 * (96 * 128 + 64 * 128 + 96 * 64)


def test_a_smaller_buffer_moves_more_bytes() -> None:
    gemm = Gemm(m=2048, n=1024, k=1024)
    for make in (output_stationary, weight_stationary):
        sizes = [1 << shift for shift in (16, 18, 20, 22, 24)]
        traffic = [
            make(
                gemm, replace(ROOMY, activation_buffer=size, weight_buffer=size, output_buffer=size)
            ).traffic_bytes
            for size in sizes
        ]
        assert traffic == sorted(traffic, reverse=True)
        assert traffic[0] > 2 * traffic[-1]


def test_sums_that_do_not_fit_travel_to_memory_and_back() -> None:
    gemm = Gemm(m=1024, n=8, k=96)
    small = replace(ROOMY, rows=32, cols=8, output_buffer=1 << 14)
    folds = weight_stationary(gemm, small)
    # Three folds along k: two of them send 32-bit sums away, two fetch them again.
    assert folds.partials.sum() == 2 * 1024 * 8 * 4
    assert folds.outputs.sum() == 2 * 1024 * 8 * 4 + 1024 * 8 * 2
    assert folds.compute_cycles == weight_stationary(gemm, replace(ROOMY, cols=8)).compute_cycles


@pytest.mark.parametrize("dataflow", ["os", "ws"])
@pytest.mark.parametrize("mode", ["time", "slot"])
def test_a_mask_of_ones_runs_in_dense_mode(dataflow: str, mode: str) -> None:
    machine = replace(TINY, dataflow=dataflow, sparse_mode=mode)
    dense, ones = matmul(37, 29, 51), matmul(37, 29, 51, (4, 4))
    assert machine.plan(ones).plan.runs.tolist() == machine.plan(dense).plan.runs.tolist()
    for memory in (None, memory_of(machine)):
        assert (
            simulate(machine.plan(ones).plan, memory).cycles
            == simulate(machine.plan(dense).plan, memory).cycles
        )


@pytest.mark.parametrize("seed", range(10))
def test_the_slot_model_at_n_equal_m_is_dense_to_the_cycle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    group = int(rng.integers(2, 9))
    m, n, k = (int(size) for size in rng.integers(1, 200, 3))
    # Whole groups: the padding of a ragged one would be work.
    slot = Gemm(m=m, n=n, k=k * group, kept=group, group=group)
    dense = Gemm(m=m, n=n, k=k * group)
    for make in (output_stationary, weight_stationary):
        assert make(slot, ROOMY).compute_cycles == make(dense, ROOMY).compute_cycles


def test_sat_says_what_its_sparse_mode_would_take_where_all_weights_are_kept() -> None:
    layer = matmul(512, 96, 512, (4, 4))
    (line,) = [note for note in PAPER.plan(layer).notes if "time-multiplexed" in note]
    assert str(closed_form("ws", 512, 96, 512, 4, 4, 4, 32, 32)) in line


@pytest.mark.parametrize("pattern", [(1, 4), (2, 4), (2, 8), (2, 16), (3, 8), (4, 8)])
def test_sat_counts_a_group_n_cycles(pattern: tuple[int, int]) -> None:
    machine = replace(PAPER, dataflow="ws")
    expected = closed_form("ws", 200, 75, 260, *pattern, pattern[0], 32, 32)
    assert compute_cycles(machine, matmul(200, 75, 260, pattern)) == expected


@pytest.mark.parametrize("pattern", [(1, 4), (2, 4), (2, 8), (3, 8), (2, 16), (6, 8), (4, 32)])
def test_a_pattern_is_found_in_the_mask_alone(pattern: tuple[int, int]) -> None:
    layer = matmul(64, 64, 256, pattern)
    found = find_pattern(replace(layer, geometry={}), 32)
    assert (found.kept, found.group) == pattern


def test_groups_of_a_convolution_do_not_straddle_taps() -> None:
    # 3 x 3 taps of 6 channels at 2:4: two groups a tap, the second one ragged.
    mask = np.concatenate([select_nm(np.random.default_rng(tap).random((8, 6)), 2, 4) for tap in range(9)], 1)
    geometry = {"kernel": "3x3", "input_channels": 6, "groups": 1}
    layer = Matmul(name="conv", m=50, n=8, k=54, mask=Bitmap.pack(mask), geometry=geometry)
    work = replace(TINY, dataflow="os").plan(layer)
    assert work.facts["pattern"] == "2:4"
    assert simulate(work.plan, None).cycles == 13 * 2 * (9 * 2 * 2 + 6)
    gemm = Gemm(m=1, n=1, k=54, kept=2, group=4, span=6)
    ends = np.arange(1, 37)
    assert gemm.covered(np.zeros(36, np.int64), ends)[[1, 3, 5, 35]].tolist() == [4, 6, 10, 54]


def test_adder_latency_is_hidden_by_as_many_interleaved_sums() -> None:
    layer = matmul(64, 64, 128)
    fast = compute_cycles(replace(PAPER, dataflow="os"), layer)
    slow = compute_cycles(replace(PAPER, dataflow="os", adder_latency=8), layer)
    hidden = compute_cycles(replace(PAPER, dataflow="os", adder_latency=8, interleave=8), layer)
    assert slow == 4 * (8 * 128 + 62 + 7)
    assert hidden == fast + 4 * 7


@pytest.mark.parametrize("pattern", [None, (2, 8)])
def test_a_sum_passes_the_adder_of_every_row_on_its_way_down(pattern: tuple[int, int] | None) -> None:
    layer = matmul(200, 75, 260, pattern)
    weights, stream = (9, 200) if pattern is None else (2, 2 * 200)
    fast = replace(PAPER, dataflow="ws", interleave=8)
    slow = replace(fast, adder_latency=8, multiplier_latency=3)
    folds = weights * 3
    held = 1 if pattern is None else 2
    # Load R rows, stream, hop C - 1 columns; then R adders instead of R hops, and the multiplier.
    assert compute_cycles(slow, layer) == folds * (32 * held + stream + 31 + 32 * 8 - 1 + 3)
    assert compute_cycles(fast, layer) == folds * (32 * held + stream + 31 + 32 - 1)


def test_overlapped_folds_pay_fill_and_drain_once() -> None:
    layer = matmul(256, 128, 576)
    assert compute_cycles(replace(PAPER, dataflow="os", overlapped=True), layer) == 8 * 4 * 576 + 62
    assert compute_cycles(replace(PAPER, dataflow="ws", overlapped=True), layer) == 18 * 4 * 256 + 94


@pytest.mark.parametrize("density", [0.05, 0.5, 0.9])
def test_unstructured_zeros_run_at_dense_cycles_and_say_so(density: float) -> None:
    mask = np.random.default_rng(1).random((64, 64)) < density
    layer = Matmul(name="gemm", m=64, n=64, k=64, mask=Bitmap.pack(mask))
    work = PAPER.plan(layer)
    assert "in no N:M pattern" in work.notes[0]
    assert work.macs_done == work.macs_dense
    assert work.plan.busy.sum() == PAPER.plan(matmul(64, 64, 64)).plan.busy.sum()


def test_with_unlimited_bandwidth_the_chosen_dataflow_has_the_fewest_cycles() -> None:
    unlimited = Systolic(dram=replace(Systolic().dram, channels=1 << 30))
    chosen = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        layer = matmul(*(int(size) for size in rng.integers(1, 400, 3)))
        fixed = [compute_cycles(Systolic(dataflow=flow), layer) for flow in ("os", "ws")]
        work = unlimited.plan(layer)
        chosen.add(work.facts["dataflow"])
        assert simulate(work.plan, None).cycles == min(fixed)
    assert chosen == {"os", "ws"}


def test_with_real_memory_the_chosen_dataflow_is_hardly_ever_the_slower_one() -> None:
    losses = []
    for seed in range(6 if numba.config.DISABLE_JIT else 40):
        rng = np.random.default_rng(seed)
        layer = matmul(*(int(2**exponent) for exponent in rng.uniform(0, 9, 3)))
        for machine in (PAPER, Systolic()):
            auto, os, ws = (
                simulate(one.plan(layer).plan, memory_of(one)).cycles
                for one in (replace(machine, dataflow=flow) for flow in ("auto", "os", "ws"))
            )
            assert auto in (os, ws)
            losses.append(auto / min(os, ws) - 1)
    assert max(losses) < 0.2
    # The estimate knows the bandwidth of one stream of reads, not how streams disturb each other.
    assert np.mean(np.array(losses) > 0) < 0.1


def test_attention_runs_as_two_products_for_each_head() -> None:
    layer = Attention(name="a", heads=3, kv_heads=3, queries=40, keys=50, dim=16, value_dim=24, batch=2)
    work = Systolic(dataflow="os").plan(layer)
    expected = 6 * (
        closed_form("os", 40, 50, 16, 1, 1, 1, 32, 32) + closed_form("os", 40, 24, 50, 1, 1, 1, 32, 32)
    )
    assert simulate(work.plan, None).cycles == expected
    assert work.macs_dense == work.macs_done == 6 * 40 * 50 * (16 + 24)


def test_joined_products_keep_their_own_partial_sums() -> None:
    gemm = Gemm(m=1024, n=8, k=96)
    small = replace(ROOMY, cols=8, output_buffer=1 << 14)
    one = weight_stationary(gemm, small)
    two = Folds.join([one, one])
    pieces = one.busy.size
    assert (two.resume[pieces:] - two.resume[:pieces])[one.resume >= 0].tolist() == [pieces] * int(
        (one.resume >= 0).sum()
    )
    simulate(two.plan(small, 64), memory_of(PAPER))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 0}, "rows must be > 0, not 0"),
        ({"dataflow": "is"}, "dataflow must be one of auto, os, ws, not 'is'"),
        ({"dtype": "int8"}, "dtype must be one of fp16, bf16"),
        ({"sparse_mode": "both"}, "sparse_mode must be one of time, slot"),
        ({"adder_latency": 0}, "adder_latency must be >= 1, not 0"),
        ({"group_limit": 1}, "group_limit must be 2..256, not 1"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message.replace("(", r"\(")):
        replace(PAPER, **change)


def test_buffers_too_small_for_one_row_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="weight_buffer must hold two rows of a fold of an array of 32 x 32"):
        replace(PAPER, weight_buffer=100, dataflow="ws").plan(matmul(64, 64, 64))


@pytest.mark.parametrize("dataflow", ["os", "ws"])
def test_an_array_larger_than_its_buffers_still_has_the_closed_form(dataflow: str) -> None:
    machine = Systolic(rows=1024, cols=1024, dataflow=dataflow)
    expected = closed_form(dataflow, 1500, 1100, 1030, 1, 1, 1, 1024, 1024)
    assert compute_cycles(machine, matmul(1500, 1100, 1030)) == expected


@pytest.mark.parametrize("dtype", ["int4", "fp8"])
@pytest.mark.parametrize("dataflow", ["os", "ws"])
def test_a_single_element_of_any_width_has_the_closed_form(dataflow: str, dtype: str) -> None:
    machine = Systolic(rows=1, cols=1, dtype=dtype, dataflow=dataflow)
    assert compute_cycles(machine, matmul(3, 5, 7)) == closed_form(dataflow, 3, 5, 7, 1, 1, 1, 1, 1)


@pytest.mark.parametrize("bytes_", [8, 9, 12, 100, 1 << 12])
def test_sums_leave_through_an_output_buffer_of_any_size_from_two_on(bytes_: int) -> None:
    machine = Systolic(rows=8, cols=8, dataflow="os", output_buffer=bytes_)
    work = machine.plan(matmul(20, 20, 20))
    work.plan.check()
    assert simulate(work.plan, None).cycles == closed_form("os", 20, 20, 20, 1, 1, 1, 8, 8)
    assert work.plan.take[:, work.plan.layout.buffer("outputs")].sum() == 20 * 20 * 4
    with pytest.raises(ValueError, match="output_buffer must hold two sums"):
        replace(machine, output_buffer=7).plan(matmul(20, 20, 20))


def test_starting_a_product_takes_the_launch_time() -> None:
    head = Attention(name="a", heads=2, kv_heads=2, queries=4, keys=5, dim=6, value_dim=7)
    assert Systolic().plan(matmul(4, 5, 6)).launches == 1
    assert Systolic().plan(head).launches == 2
