"""The 2:4 tensor core: instruction-level bounds, waves, formats, and what memory must move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accelsim.accelerators.base import memory_of
from accelsim.accelerators.sparse_tensor_core import PRESETS, SparseTensorCore
from accelsim.accelerators.sparse_tensor_core.presets import A100, A100_PCIE, H100, TINY
from accelsim.golden.formats import Bitmap, select_nm
from accelsim.machine import simulate
from accelsim.run import run
from accelsim.workload import Attention, Matmul, Workload


def matmul(m: int, n: int, k: int, pattern: tuple[int, int] | None = None) -> Matmul:
    if pattern is None:
        return Matmul(name="gemm", m=m, n=n, k=k)
    mask = select_nm(np.random.default_rng(0).random((n, k)), *pattern)
    return Matmul(name="gemm", m=m, n=n, k=k, mask=Bitmap.pack(mask))


def cycles(core: SparseTensorCore, layer: Matmul | Attention) -> int:
    return simulate(core.plan(layer).plan, memory_of(core)).cycles


# Tile (weights x activations) and type: dense mma and port clocks, sparse mma and port clocks, bound.
PORT_TABLE = [
    ("fp16", 128, 128, 1024, 768, 512, 600, 1.71),
    ("fp16", 128, 256, 2048, 1408, 1024, 1128, 1.82),
    ("fp16", 256, 128, 2048, 1408, 1024, 1072, 1.91),
    ("int8", 128, 128, 1024, 768, 512, 624, 1.64),
    ("int8", 128, 256, 2048, 1408, 1024, 1168, 1.75),
    ("int8", 256, 128, 2048, 1408, 1024, 1120, 1.83),
]


@pytest.mark.parametrize(
    ("dtype", "tall", "wide", "mma", "port", "sparse_mma", "sparse_port", "bound"), PORT_TABLE
)
def test_the_shared_memory_port_bounds_ampere_as_computed_by_hand(
    dtype: str, tall: int, wide: int, mma: int, port: int, sparse_mma: int, sparse_port: int, bound: float
) -> None:
    # Warps of 64 x 64: the readers of a tile follow from its shape.
    core = replace(
        A100,
        dtype=dtype,
        tile_weights=tall,
        tile_activations=wide,
        readers_m=tall // 64,
        readers_n=wide // 64,
    )
    kernels = [core.kernel(sparse=sparse) for sparse in (False, True)]
    assert [kernel.mma_cycles for kernel in kernels] == [mma, sparse_mma]
    assert [kernel.port_cycles for kernel in kernels] == [port, sparse_port]
    dense, sparse = max(mma, port), max(sparse_mma, sparse_port)
    assert dense / sparse == pytest.approx(bound, abs=0.005)


def test_hopper_reads_the_activations_once_for_each_warp_group() -> None:
    # Two warp groups, each m64 n256 k64: 128 rows of weights once, 256 columns of activations twice.
    dense, sparse = H100.kernel(sparse=False), H100.kernel(sparse=True)
    assert dense.mma_cycles == 1024
    values, metadata, activations = 128 * 32 * 2, 128 * 64 // 8, 2 * 256 * 64 * 2
    assert sparse.port_cycles == (values + metadata + activations) // 128


@pytest.mark.parametrize(("source", "clocks"), [("shared", 4 * 144), ("registers", 4 * 128)])
def test_hopper_takes_longer_for_weights_from_shared_memory(source: str, clocks: int) -> None:
    # Four wgmma.sp.m64n256k32: 144 clocks each, or 128, as measured (arXiv 2402.13499).
    assert replace(H100, weights_from=source).kernel(sparse=True).mma_cycles == clocks


def test_with_unlimited_memory_a_large_product_is_bound_by_the_core() -> None:
    core = replace(TINY, blocks_limit=1)
    work = core.plan(matmul(256, 256, 4096))
    steps = work.plan.jobs // core.sms
    total = simulate(work.plan, None).cycles
    kernel = core.kernel(sparse=False)
    slower = max(kernel.mma_cycles, kernel.port_cycles)
    assert 0 <= total - steps * slower < 0.05 * total


def test_the_last_wave_is_paid_whole() -> None:
    core = replace(TINY, sms=4, blocks_limit=1)
    one_wave = simulate(core.plan(matmul(32, 4 * 32, 512)).plan, None).cycles
    tail = simulate(core.plan(matmul(32, 5 * 32, 512)).plan, None).cycles
    assert one_wave * 1.9 < tail < one_wave * 2.1


def test_sparse_weights_are_read_with_one_bit_of_metadata_each() -> None:
    quiet = replace(TINY, l2=replace(TINY.l2, line_bytes=32))
    dense, sparse = (quiet.plan(matmul(32, 32, 4096, pattern)).plan for pattern in (None, (2, 4)))
    activations = 32 * 4096 * 2
    assert dense.bursts(write=False) * 32 == activations + 32 * 4096 * 2
    assert sparse.bursts(write=False) * 32 == activations + 32 * 4096 * 9 // 8


def test_each_line_is_read_from_memory_once_if_the_cache_holds_it() -> None:
    core = replace(TINY, l2=replace(TINY.l2, bytes=1 << 22))
    work = core.plan(matmul(128, 128, 256))
    timeline = simulate(work.plan, memory_of(core))
    unique = 2 * 128 * 256 * 2 // 128
    moved = timeline.traffic
    assert moved.read_bursts == 4 * unique
    assert moved.read_bursts // 4 + moved.cache_hits == work.plan.bursts(write=False)


@pytest.mark.parametrize(
    ("dtype", "pattern", "sparse"),
    [
        ("fp16", (2, 4), True),
        ("int8", (2, 4), True),
        ("fp16", (1, 4), True),
        ("fp16", (2, 8), True),
        ("fp16", (1, 2), True),
        ("fp16", (4, 8), False),
        ("tf32", (1, 2), True),
        ("tf32", (2, 4), False),
        ("int4", (2, 4), False),
        ("fp16", (4, 4), False),
    ],
)
def test_a_mask_is_used_only_if_it_fits_the_type(dtype: str, pattern: tuple[int, int], sparse: bool) -> None:
    work = replace(A100, dtype=dtype).plan(matmul(128, 128, 256, pattern))
    assert (work.facts["pattern"] != "dense") is sparse
    assert (work.macs_done < work.macs_dense) is sparse
    if not sparse:
        assert "dense" in work.notes[0]


def test_a_mask_that_does_not_fit_stops_the_run_where_it_is_asked_to() -> None:
    kept = np.tile(np.array([True, False, True, False]), (4, 8))
    kept[2, 5] = True
    workload = Workload(model="w", layers=(Matmul(name="fc", m=8, n=4, k=32, mask=Bitmap.pack(kept)),))
    assert "but not 2:4: dense cycles" in run(workload, TINY).layers[0].notes[0]
    line = "layer 'fc' on stc: fp16 weights must be 2:4, not elements 4, 5, 6 of row 2 kept in one group"
    with pytest.raises(ValueError, match=f"^{line}$"):
        run(workload, replace(TINY, misfits="refuse"))


def test_int4_keeps_or_drops_aligned_pairs() -> None:
    pairs = select_nm(np.random.default_rng(3).random((64, 128)), 2, 4)
    mask = np.repeat(pairs, 2, axis=1)
    layer = Matmul(name="gemm", m=64, n=64, k=256, mask=Bitmap.pack(mask))
    assert replace(A100, dtype="int4").plan(layer).facts["pattern"] == "4:8 in pairs"


def test_a_mask_of_ones_equals_dense_to_the_cycle() -> None:
    ones = Matmul(name="gemm", m=64, n=64, k=128, mask=Bitmap.pack(np.ones((64, 128), np.bool_)))
    assert cycles(TINY, ones) == cycles(TINY, matmul(64, 64, 128))


@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (33, 1, 100), (5, 70, 31), (64, 64, 65)])
def test_ragged_products_are_padded_to_tiles(m: int, n: int, k: int) -> None:
    work = TINY.plan(matmul(m, n, k))
    tiles = -(-m // 32) * -(-n // 32)
    assert work.facts["tiles"] == tiles
    assert work.plan.jobs == tiles * -(-k // TINY.kernel(sparse=False).tile_k)
    assert cycles(TINY, matmul(m, n, k)) > 0


def test_attention_is_two_batched_kernels() -> None:
    layer = Attention(name="a", heads=3, kv_heads=3, queries=40, keys=50, dim=16, value_dim=24, batch=2)
    work = TINY.plan(layer)
    assert work.launches == 2
    assert work.facts["tiles"] == 6 * (2 * 2 + 2 * 1)
    assert work.macs_dense == 6 * 40 * 50 * (16 + 24)


def test_outputs_are_written_once() -> None:
    core = replace(TINY, out_dtype="fp32")
    assert core.plan(matmul(64, 96, 64)).plan.bursts(write=True) * 128 == 64 * 96 * 4


@pytest.mark.parametrize(("out_dtype", "bits"), [("int4", 4), ("int8", 8), ("fp16", 16), ("fp32", 32)])
def test_outputs_have_the_width_that_was_asked_for(out_dtype: str, bits: int) -> None:
    core = replace(TINY, out_dtype=out_dtype)
    assert core.plan(matmul(64, 96, 64)).plan.bursts(write=True) * 128 * 8 == 64 * 96 * bits


@pytest.mark.parametrize(
    ("dtype", "k", "stored", "bits"),
    [("fp16", 31, 16, 32 * 9), ("fp16", 6, 4, 8 * 9), ("tf32", 7, 4, 8 * 18), ("int4", 12, 8, 16 * 2.5)],
)
def test_a_ragged_last_group_of_weights_is_padded(dtype: str, k: int, stored: int, bits: float) -> None:
    fine = replace(TINY, dtype=dtype, l2=replace(TINY.l2, line_bytes=1))
    size, kept = {"fp16": (4, 2), "tf32": (2, 1), "int4": (8, 4)}[dtype]
    mask = np.broadcast_to(np.arange(k) % size < kept, (32, k))
    layer = Matmul(name="gemm", m=1, n=32, k=k, mask=Bitmap.pack(mask))
    work = fine.plan(layer)
    assert work.macs_done == 32 * stored
    activations = -(-k * {"fp16": 16, "tf32": 32, "int4": 4}[dtype] // 8)
    assert work.plan.bursts(write=False) == 32 * bits / 8 + activations


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "sparseloop_dense"])
def test_every_preset_runs_a_small_product_both_ways(name: str) -> None:
    core = PRESETS[name]
    assert cycles(core, matmul(256, 256, 256, (2, 4))) < cycles(core, matmul(256, 256, 256))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "fp8"}, "dtype must be one of fp16, bf16, tf32, int8, int4 on ampere, not 'fp8'"),
        ({"generation": "volta"}, "generation must be one of ampere, hopper, not 'volta'"),
        ({"sms": 0}, "sms must be > 0, not 0"),
        ({"shared_memory": 1000}, "shared_memory must be >= the 98304 bytes of one block, not 1000"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        replace(A100_PCIE, **change)
