"""Tensor-core instructions and k-steps against figures of A100 and H800, and against bounds by hand."""

import re
from dataclasses import replace

import pytest

from accelsim.golden.two_four import FORMATS
from accelsim.units.tensor_core import RATES, TENSOR_CORES, Instruction, Tile

WGMMA = Instruction(generation="hopper", kind="wgmma", m=64, n=256, k=16)
SPARSE_WGMMA = replace(WGMMA, k=32, sparse=True)


@pytest.mark.parametrize(
    ("instruction", "source", "clocks"),
    [
        (SPARSE_WGMMA, "registers", 128),
        (SPARSE_WGMMA, "shared", 144),
        (WGMMA, "registers", 128),
        (WGMMA, "shared", 128),
    ],
)
def test_a_wide_wgmma_takes_the_clocks_measured_on_h800(instruction, source, clocks):
    assert replace(instruction, a_source=source).issue_interval() == clocks
    assert replace(instruction, a_source=source).latency() == clocks


def test_a_sparse_wgmma_reads_a_as_stored_and_b_whole():
    sparse = replace(SPARSE_WGMMA, a_source="shared")
    assert sparse.port_bytes == 64 * 16 * 2 + 256 * 32 * 2
    assert replace(sparse, a_source="registers").port_bytes == 256 * 32 * 2
    assert replace(WGMMA, a_source="shared").port_bytes == (64 + 256) * 16 * 2


@pytest.mark.parametrize(
    ("n", "source", "tflops"),
    [(8, "shared", 158), (8, "registers", 217), (64, "shared", 719.6), (128, "shared", 728.5)],
)
def test_narrow_wgmma_reach_the_throughput_measured_on_h800(n, source, tflops):
    # 728.5 TFLOPS of n = 256 stand for 2048 products a clock; that A alone takes 16 clocks explains n = 8.
    narrow = replace(WGMMA, n=n, a_source=source)
    assert narrow.products / narrow.issue_interval() / 2048 * 728.5 == pytest.approx(tflops, rel=0.03)


@pytest.mark.parametrize(("k", "ideal", "measured"), [(32, 8, 8.28), (16, 4, 6.35)])
def test_sparse_mma_of_a100_start_as_often_as_measured(k, ideal, measured):
    sparse = Instruction(generation="ampere", k=k, sparse=True)
    assert sparse.compute_clocks == ideal
    assert sparse.issue_interval() == pytest.approx(measured, rel=0.04)
    assert replace(sparse, k=k // 2, sparse=False).issue_interval() == ideal


@pytest.mark.parametrize("generation", RATES)
def test_a_sparse_mma_takes_as_long_as_the_dense_one_with_as_many_products(generation):
    for dtype in RATES[generation]:
        for k in Instruction(generation=generation, dtype=dtype, k=256 // bits(dtype)).depths():
            dense = Instruction(generation=generation, dtype=dtype, k=k)
            sparse = replace(dense, k=2 * k, sparse=True)
            assert sparse.products == dense.products
            assert sparse.latency() == dense.latency()
            assert sparse.issue_interval() >= dense.issue_interval()


def test_latencies_are_those_measured():
    assert Instruction(generation="ampere", k=32, sparse=True).latency() == 24.7
    assert Instruction(generation="ampere", k=8).latency() == 17.7
    assert Instruction(generation="hopper", k=16).latency() == 24.1


def test_older_mma_fall_short_of_hoppers_peak_as_measured_on_h800():
    dense = Instruction(generation="hopper", k=16)
    sparse = replace(dense, k=32, sparse=True)
    assert dense.compute_clocks / dense.issue_interval() == pytest.approx(0.629)
    assert 2 * dense.issue_interval() / sparse.issue_interval() == pytest.approx(1.42)


@pytest.mark.parametrize("generation", RATES)
def test_a_long_dense_mma_or_wgmma_works_at_the_full_rate_of_its_type(generation):
    for dtype, rate in RATES[generation].items():
        k = 256 // bits(dtype)
        wide = {"kind": "wgmma", "m": 64, "n": 256} if generation == "hopper" else {}
        one = Instruction(generation=generation, dtype=dtype, k=k, **wide)
        cores = 1 if wide else TENSOR_CORES
        assert one.products / one.issue_interval() == rate / cores
        assert replace(one, k=2 * k, sparse=True).issue_interval() == one.issue_interval()


# Type, rows of A and columns of B, clocks of core and port dense and sparse, and the bound on the gain.
AMPERE_TILES = [
    ("fp16", 128, 128, (1024, 768), (512, 600), 1.71),
    ("fp16", 128, 256, (2048, 1408), (1024, 1128), 1.82),
    ("fp16", 256, 128, (2048, 1408), (1024, 1072), 1.91),
    ("int8", 128, 128, (1024, 768), (512, 624), 1.64),
    ("int8", 128, 256, (2048, 1408), (1024, 1168), 1.75),
    ("int8", 256, 128, (2048, 1408), (1024, 1120), 1.83),
]


@pytest.mark.parametrize(("dtype", "m", "n", "dense_clocks", "sparse_clocks", "bound"), AMPERE_TILES)
def test_the_shared_memory_port_bounds_the_gain_of_a100(dtype, m, n, dense_clocks, sparse_clocks, bound):
    dense = Tile(dtype=dtype, m=m, n=n, k=1024 // bits(dtype), warps_m=m // 64, warps_n=n // 64)
    sparse = replace(dense, sparse=True)
    assert (dense.mma_clocks("ampere"), dense.port_clocks(fill_on_port=True)) == dense_clocks
    assert (sparse.mma_clocks("ampere"), sparse.port_clocks(fill_on_port=True)) == sparse_clocks
    gain = dense.clocks("ampere", fill_on_port=True) / sparse.clocks("ampere", fill_on_port=True)
    assert round(gain, 2) == bound


def test_two_warp_groups_of_hopper_gain_at_most_by_what_their_instructions_read():
    # Metadata comes through registers: beside the instructions' 288 clocks a half, 8 more for both.
    dense = Tile(dtype="fp16", m=128, n=256, k=64, warps_m=2)
    sparse = replace(dense, sparse=True)
    assert dense.clocks("hopper", fill_on_port=False) == 1024
    instructions = 2 * 2 * replace(SPARSE_WGMMA, a_source="shared").issue_interval()
    assert instructions == 2 * 288
    assert sparse.port_clocks(fill_on_port=False) == instructions + sparse.metadata_bytes / 128


@pytest.mark.parametrize("dtype", FORMATS)
def test_a_sparse_step_holds_half_the_values_and_its_codes(dtype):
    dense = Tile(dtype=dtype, m=64, n=32, k=128)
    sparse = replace(dense, sparse=True)
    assert sparse.a_value_bytes * 2 == dense.a_value_bytes
    assert sparse.metadata_bytes == 64 * 128 * FORMATS[dtype].metadata_bits / 8
    assert (dense.metadata_bytes, dense.b_bytes) == (0, sparse.b_bytes)
    assert sparse.fill_bytes == sparse.read_bytes == sparse.a_bytes + sparse.b_bytes


def test_a_ragged_last_group_is_stored_whole():
    assert Tile(dtype="fp16", m=8, n=8, k=5, sparse=True).a_value_bytes == 8 * 4 * 2
    assert Tile(dtype="int4", m=2, n=8, k=9, sparse=True).metadata_bytes == 2


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"dtype": "fp8"}, "dtype must be one of fp16, bf16, tf32, int8, int4 on ampere, not 'fp8'"),
        (
            {"generation": "hopper", "dtype": "int4"},
            "dtype must be one of fp16, bf16, tf32, int8, fp8 on hopper, not 'int4'",
        ),
        ({"generation": "volta"}, "generation must be one of ampere, hopper, not 'volta'"),
        ({"kind": "wgmma", "m": 64}, "wgmma must run on hopper, not on ampere"),
        ({"a_source": "shared"}, "a_source must be registers for mma, not 'shared'"),
        ({"m": 64}, "m must be 16 for mma, not 64"),
        ({"k": 64}, "k must be 8 or 16 for mma.m16n8k64 fp16, not 64"),
        ({"n": 16}, "n must be one that mma has for fp16, not 16"),
        (
            {"generation": "hopper", "kind": "wgmma", "m": 64, "n": 40, "k": 32, "dtype": "int8"},
            "n must be one that wgmma has for int8, not 40",
        ),
    ],
)
def test_what_no_tensor_core_has_is_refused(settings, line):
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        Instruction(**{"generation": "ampere", **settings})


def test_a_step_that_means_nothing_is_refused():
    with pytest.raises(ValueError, match=r"dtype must be one of .*, not 'fp64'"):
        Tile(dtype="fp64", m=1, n=1, k=1)
    with pytest.raises(ValueError, match="warps_n must be > 0, not 0"):
        Tile(dtype="fp16", m=1, n=1, k=1, warps_n=0)


def bits(dtype: str) -> int:
    return FORMATS[dtype].element_bits
