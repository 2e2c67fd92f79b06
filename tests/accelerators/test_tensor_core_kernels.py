"""Kernels of the tensor core: tiles, blocks, k in parts, clusters, launches, power, samples, verdicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import accelsim
from accelsim import synthetic
from accelsim.accelerators import find
from accelsim.accelerators.base import memory_of
from accelsim.accelerators.sparse_tensor_core import SparseTensorCore
from accelsim.accelerators.sparse_tensor_core.grids import Place, grid_of
from accelsim.accelerators.sparse_tensor_core.presets import A100, A100_PCIE, H100, H100_PCIE, TINY
from accelsim.accelerators.sparse_tensor_core.rows import plan_of
from accelsim.accelerators.sparse_tensor_core.tiles import choose, estimate
from accelsim.accelerators.sparse_tensor_core.verdicts import facts
from accelsim.layer_times import layer_times
from accelsim.machine import simulate
from accelsim.plan import Plan
from accelsim.report import Report
from accelsim.workload import Matmul

pytestmark = pytest.mark.slow  # without compilation

# Dense and 2:4, microseconds (arXiv 2603.05232).
SMALLEST = [
    (A100_PCIE, "fp16", 4.0, 5.7),
    (A100_PCIE, "int8", 5.6, 5.4),
    (H100_PCIE, "int8", 4.4, 5.1),
]


def product(m: int, n: int, k: int) -> Matmul:
    return Matmul(name="gemm", m=m, n=n, k=k)


def lines(plan: Plan) -> list[int]:
    """Addresses of all lines, read or written, in order."""
    runs = plan.runs
    inside = np.arange(runs["count"].sum()) - np.repeat(
        np.cumsum(runs["count"]) - runs["count"], runs["count"]
    )
    found = np.repeat(runs["address"], runs["count"]) + inside * np.repeat(runs["stride"], runs["count"])
    return sorted(found.tolist())


def report(core: SparseTensorCore, m: int, n: int, k: int) -> Report:
    generator = np.random.default_rng(0)
    work = synthetic.gemm(m, n, k, pattern=(2, 4), dtype=core.dtype or "fp16", generator=generator)
    return accelsim.run(work, core)


@pytest.mark.parametrize(("core", "dtype", "dense", "sparse"), SMALLEST)
def test_the_smallest_measured_product_takes_its_time(
    core: SparseTensorCore, dtype: str, dense: float, sparse: float
) -> None:
    found = report(replace(core, dtype=dtype, l2_holds="operands"), 64, 64, 64)
    assert found.baseline is not None
    assert found.baseline.seconds == pytest.approx(dense * 1e-6, abs=0.02e-6)
    assert found.seconds == pytest.approx(sparse * 1e-6, abs=0.02e-6)


def test_blocks_on_an_sm_follow_from_shared_memory_and_registers() -> None:
    # 3 stages of 32 KiB dense and of 25 KiB sparse in 164 KiB.
    dense, sparse = A100.kernel(sparse=False), A100.kernel(sparse=True)
    assert (dense.block_bytes, sparse.block_bytes) == (96 << 10, 75 << 10)
    assert (dense.blocks_per_sm, sparse.blocks_per_sm) == (1, 2)
    assert dense.limit_of_blocks == "shared memory"
    # 64 x 64 FP32 sums are 128 registers of a lane; operands of m16n8k16 twice, 64; 24 spare.
    assert dense.registers == 128 + 64 + 24
    few = replace(A100, registers=40_000).kernel(sparse=True)
    assert (few.blocks_per_sm, few.limit_of_blocks) == (1, "registers")


@pytest.mark.parametrize("swizzle", [0, 1, 3, 100])
@pytest.mark.parametrize(("m", "n"), [(32, 320), (300, 70), (1000, 500)])
def test_every_tile_is_visited_once(swizzle: int, m: int, n: int) -> None:
    kernel = replace(TINY, swizzle=swizzle).kernel(sparse=False)
    work = replace(product(m, n, 64), count=3)
    grid = grid_of(kernel, work)
    places = Place.of(kernel, work, grid, np.arange(grid.tiles))
    assert sorted(places.number(grid)) == list(range(grid.tiles))
    assert places.results.sum() == 3 * m * n


@pytest.mark.parametrize("splits", [1, 2, 3, 5])
def test_k_in_parts_reads_and_writes_the_same_lines(splits: int) -> None:
    kernel = TINY.kernel(sparse=False)
    work = (product(64, 96, 32 * 10),)
    plans = [plan_of(each, work) for each in (kernel, replace(kernel, splits=splits))]
    for plan in plans:
        plan.check()
    assert lines(plans[0]) == lines(plans[1])
    assert simulate(plans[1], memory_of(TINY)).cycles > 0


def test_partial_sums_wait_for_every_part() -> None:
    plan = plan_of(replace(TINY.kernel(sparse=False), splits=4), (product(32, 32, 320),))
    timeline = simulate(plan, memory_of(TINY))
    adds = plan.skip[:, 2]
    assert adds.sum() == 4
    assert timeline.start[adds, 0].min() >= timeline.end[~adds, 3].max()


def test_few_tokens_get_a_narrow_tile_and_a_deep_product_is_split() -> None:
    kernel = choose(A100, (product(16, 1024, 16384),), False)
    assert kernel.tile.activations == 16
    assert kernel.splits > 1
    assert choose(A100, (product(8192, 8192, 8192),), False).splits == 1


def test_parts_of_k_that_are_empty_are_not_counted() -> None:
    kernel = replace(TINY.kernel(sparse=False), splits=4)
    work = (product(32, 32, 9 * kernel.tile_k),)
    plan, found = plan_of(kernel, work), facts(kernel, work)
    # As many blocks again add the parts up.
    assert found["waves"] == len(np.unique(plan.group)) / 2 / kernel.slots == 3 / kernel.slots
    assert found["splits"] == 3
    assert found == facts(replace(kernel, splits=3), work)
    assert estimate(kernel, work) == estimate(replace(kernel, splits=3), work)


def test_a_cluster_asks_for_shared_operands_once() -> None:
    alone, pair = (
        replace(H100, tiles="fixed", cluster=blocks).plan(product(512, 512, 256)).plan for blocks in (1, 2)
    )
    # 128 x 256: weights as before, activations half as often.
    weights, activations = 512 * 256 * 2 * 2, 512 * 256 * 2 * 4
    assert alone.bursts(write=False) * 128 == weights + activations
    assert pair.bursts(write=False) * 128 == weights + activations // 2


SAMPLED = [(320, 320, 2048), (640, 512, 512), (64, 32, 20_000), (640, 640, 1024), (1000, 300, 600)]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("m", "n", "k"), SAMPLED)
def test_a_sampled_product_takes_as_long_as_all_of_it(m: int, n: int, k: int, sparse: bool) -> None:
    core = replace(TINY, blocks_limit=2)
    memory = memory_of(core)
    whole = layer_times("gemm", "stc", core.plan_products((product(m, n, k),), sparse), memory)
    work = replace(core, most_bursts=15_000).plan_products((product(m, n, k),), sparse)
    assert work.samples
    found = layer_times("gemm", "stc", work, memory)
    # A window fills its rings and drains its units once more than waves that follow each other do: of a wave
    # of 2 x 16 k-steps and more at the pace of the L2, whose latency is hidden behind 3 of them, below 3 %.
    assert found.cycles == pytest.approx(whole.cycles, rel=0.03)
    for name in ("read_bursts", "write_bursts", "cache_hits"):
        assert getattr(found.traffic, name) == pytest.approx(getattr(whole.traffic, name), rel=1e-3)
    traffic = found.traffic
    moved = traffic.read_bursts + traffic.write_bursts
    assert traffic.row_hits + traffic.row_misses + traffic.row_conflicts == moved


def test_a_sampled_product_finds_in_the_l2_what_waves_before_it_left() -> None:
    """Weights that fit the L2 are read once, however many waves use them."""
    core = replace(TINY, l2=replace(TINY.l2, bytes=1 << 19), most_bursts=15_000)
    work = core.plan_products((product(4096, 128, 256),), False)
    found = layer_times("gemm", "stc", work, memory_of(core))
    assert work.samples
    assert found.traffic.read_bursts * core.dram.burst_bytes == pytest.approx(
        2 * 256 * (4096 + 128), rel=0.01
    )


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("core", [TINY, A100, replace(H100, dtype="int8"), replace(TINY, most_splits=4)])
def test_lines_are_counted_as_the_plan_asks_for_them(core: SparseTensorCore, sparse: bool) -> None:
    for m, n, k in ((33, 70, 100), (128, 64, 64), (1000, 300, 600), (16, 1024, 4096)):
        work = core.plan_products((replace(product(m, n, k), count=2),), sparse)
        assert (work.plan.bursts(write=False), work.plan.bursts(write=True)) == work.asked


def test_a_sampled_product_is_said_to_be_one() -> None:
    found = report(replace(TINY, most_bursts=15_000), 320, 320, 2048)
    assert any(note.startswith("sampled: ") for note in found.layers[0].notes)
    assert found.baseline is not None
    assert found.baseline.macs_done == 320 * 320 * 2048


def test_a_limit_of_power_makes_time_longer_and_says_so() -> None:
    free = report(TINY, 256, 256, 256)
    tight = report(replace(TINY, power=replace(A100.power, watts=0.011, idle_watts=0.01)), 256, 256, 256)
    assert (tight.cycles, tight.dram_bytes) == (free.cycles, free.dram_bytes)
    assert tight.seconds > 2 * free.seconds
    assert "the power limit of 0.011 W binds" in tight.layers[0].verdict


def test_a_small_product_loses_by_its_launch_and_the_verdict_says_so() -> None:
    found = report(A100_PCIE, 512, 512, 512)
    assert found.speedup is not None
    assert 0.75 < found.speedup < 0.95
    verdict = found.layers[0].verdict
    assert verdict.startswith(f"{found.speedup:.2f}x: the launch is 5.4 us of ")
    assert "2:4 loses: its launch costs 1.7 us more" in verdict


def test_the_port_is_named_where_it_binds() -> None:
    found = report(replace(A100, tiles="fixed", power=TINY.power), 2048, 2048, 2048)
    assert "the shared-memory port binds (600 clk a k-step, tensor core 512" in found.layers[0].verdict
    assert "metadata 4%" in found.layers[0].verdict


def test_int8_writes_int32_dense_and_bf16_sparse_unless_asked() -> None:
    core = replace(TINY, dtype="int8")
    assert [core.kernel(sparse=sparse).out_bits for sparse in (False, True)] == [32, 16]
    assert replace(core, out_dtype="int8").kernel(sparse=False).out_bits == 8


def test_machines_are_found_with_their_limits() -> None:
    assert find("stc:a100_pcie")[2].power.watts == 300
