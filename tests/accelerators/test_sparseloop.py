"""Sparseloop's tensor core: the artefact's cycles exactly, its energies, and bounds of any other product."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import accelsim
from accelsim.accelerators.base import memory_of
from accelsim.accelerators.sparse_tensor_core.sparseloop import (
    SPARSELOOP,
    SPARSELOOP_DENSE,
    SPARSELOOP_FLEXIBLE,
    SparseloopCore,
)
from accelsim.accelerators.sparse_tensor_core.sparseloop_traffic import mappings
from accelsim.energy import area_mm2
from accelsim.golden.formats import Bitmap, select_nm
from accelsim.machine import simulate
from accelsim.parameters import paths, replace_by_path
from accelsim.report import Report
from accelsim.synthetic import gemm
from accelsim.workload import Attention, Matmul, Workload

pytestmark = pytest.mark.slow  # without compilation

# Rows of weights, k, columns; clocks dense; uJ of the dense core, and of the sparse one at 2:4 (fig. 15).
PUBLISHED = [
    ((128, 1152, 1024), 147456, 276.58, 173.42),
    ((512, 1024, 256), 131072, 247.59, 132.61),
    ((512, 128, 1024), 65536, 119.51, 79.80),
    ((512, 256, 1024), 131072, 205.45, 126.03),
]


def run(core: SparseloopCore, shape: tuple[int, int, int], pattern: tuple[int, int] | None = None) -> Report:
    """`shape` in the artefact's order."""
    rows, k, columns = shape
    return accelsim.run(gemm(columns, rows, k, pattern=pattern, dtype="int8"), core, baseline=False)


def matmul(m: int, n: int, k: int, pattern: tuple[int, int] | None = None) -> Matmul:
    mask = None
    if pattern:
        mask = Bitmap.pack(select_nm(np.random.default_rng(m).random((n, k)), *pattern))
    return Matmul(name="gemm", m=m, n=n, k=k, dtype="int8", mask=mask)


@pytest.mark.parametrize(("shape", "clocks", "dense_uj", "sparse_uj"), PUBLISHED)
def test_cycles_are_the_artefacts_and_energies_within_five_percent(
    shape: tuple[int, int, int], clocks: int, dense_uj: float, sparse_uj: float
) -> None:
    dense, sparse = run(SPARSELOOP_DENSE, shape), run(SPARSELOOP, shape, (2, 4))
    assert (dense.cycles, dense.compute_cycles) == (clocks, clocks)
    assert (sparse.cycles, sparse.compute_cycles) == (clocks // 2, clocks // 2)
    assert dense.total_pj == pytest.approx(1e6 * dense_uj, rel=0.001)
    assert sparse.total_pj == pytest.approx(1e6 * sparse_uj, rel=0.05)


def test_without_indices_in_dram_the_energies_are_the_artefacts_to_a_percent() -> None:
    for shape, _, _, claim in PUBLISHED:
        report = run(SPARSELOOP, shape, (2, 4))
        traffic = report.part_pj["index writes"] / SPARSELOOP.table.index_write_pj
        assert report.total_pj is not None
        assert report.total_pj - 8 * 64 * traffic == pytest.approx(1e6 * claim, rel=0.002)


def test_dense_weights_on_the_sparse_core_take_the_dense_cycles_and_its_own_energy() -> None:
    report = run(SPARSELOOP, PUBLISHED[0][0])
    assert report.cycles == 147456
    assert report.total_pj == pytest.approx(248.15e6, rel=0.0001)


@pytest.mark.parametrize("pattern", [(2, 8), (1, 4), (2, 6)])
def test_below_two_of_four_nothing_more_is_gained(pattern: tuple[int, int]) -> None:
    shape = (512, 768, 256)
    sparser, half = run(SPARSELOOP, shape, pattern), run(SPARSELOOP, shape, (2, 4))
    if pattern != (2, 6):
        assert sparser.cycles == half.cycles == 512 * 768 * 256 // 2048
        assert "no more is skipped than 2:4" in sparser.layers[0].notes[0]
    else:
        # Two in six may be three in no aligned four, but two in four is not sure.
        assert sparser.cycles in (half.cycles, 2 * half.cycles)


def test_two_of_eight_on_the_flexible_core_waits_for_shared_memory() -> None:
    report = run(SPARSELOOP_FLEXIBLE, (512, 128, 1024), (2, 8))
    assert report.cycles == 29648
    assert report.layers[0].facts["utilisation"] == pytest.approx(42 / 76, abs=0.0001)
    half = run(SPARSELOOP, (512, 128, 1024), (2, 4))
    assert half.cycles / report.cycles == pytest.approx(1.1, abs=0.01)


def test_with_both_operands_compressed_two_of_eight_is_four_times_dense() -> None:
    both = replace(SPARSELOOP_FLEXIBLE, activations="compressed", activation_density=0.27)
    assert run(both, (512, 1024, 256), (2, 8)).cycles == 32768
    crowded = replace(both, activation_density=0.82)
    assert run(crowded, (512, 256, 1024), (2, 8)).cycles > 32768


def test_gated_zeros_save_energy_and_no_cycles() -> None:
    plain = run(SPARSELOOP, (128, 1152, 1024), (2, 4))
    gated = run(replace(SPARSELOOP, activations="gated", activation_density=0.44), (128, 1152, 1024), (2, 4))
    assert gated.cycles == plain.cycles
    saved = 128 * 1152 * 1024 / 2 * 0.56 * (0.5608 - 0.01798)
    assert plain.total_pj is not None
    assert gated.total_pj == pytest.approx(plain.total_pj - saved)


def test_one_column_waits_for_the_weights_from_dram() -> None:
    dense = run(SPARSELOOP, (4096, 4096, 1))
    sparse = run(SPARSELOOP, (4096, 4096, 1), (2, 4))
    assert dense.cycles == (4096 * 4096 + 4096) // 32
    # Half the words, and two bits beside each.
    assert sparse.cycles == pytest.approx((4096 * 4096 * 0.5 * 1.25 + 4096) / 32, abs=1)
    assert dense.read_bytes == 4096 * 4096 + 4096


@pytest.mark.parametrize("seed", range(25))
def test_any_product_is_bound_by_its_busiest_level_and_closes_its_books(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n, k = (int(2**power) for power in rng.uniform(0, 10, 3))
    pattern = [None, (2, 4), (2, 8), (1, 4)][seed % 4]
    core = [SPARSELOOP, SPARSELOOP_DENSE, SPARSELOOP_FLEXIBLE][seed % 3]
    layer = matmul(m, n, k, pattern)
    work = core.plan(layer)
    work.plan.check()
    slowest = int(work.plan.busy.max(axis=1).sum())
    assert simulate(work.plan, None).cycles == slowest
    real = simulate(work.plan, memory_of(core)).cycles
    # The memory answers some clocks after it was asked, which shows where a tile takes hardly any.
    assert slowest <= real <= slowest + 12 * work.plan.jobs
    # Each level at its mean load.
    busy = work.plan.busy
    assert busy[:, 2].sum() * 32 >= n * k / 4
    assert work.plan.bursts(write=True) * 32 >= m * n
    report = accelsim.run(Workload(model="one", layers=(layer,)), core)
    assert report.macs_done <= report.macs_dense == m * n * k


def test_attention_is_two_products_for_each_head() -> None:
    layer = Attention(name="a", heads=3, kv_heads=3, queries=64, keys=128, dim=64, value_dim=64, batch=2)
    work = SPARSELOOP.plan(layer)
    assert work.macs_done == work.macs_dense == 6 * 64 * 128 * 128
    assert int(work.plan.busy[:, 0].sum()) == 6 * 64 * 128 * 128 // 1024


def test_groups_of_a_convolution_do_not_straddle_taps() -> None:
    mask = np.concatenate(
        [select_nm(np.random.default_rng(tap).random((64, 6)), 2, 4) for tap in range(9)], 1
    )
    geometry = {"kernel": "3x3", "input_channels": 6, "groups": 1}
    layer = Matmul(name="conv", m=50, n=64, k=54, mask=Bitmap.pack(mask), geometry=geometry)
    work = SPARSELOOP.plan(layer)
    assert work.facts["pattern"] == "2:4"
    # Nine taps of two padded groups of two: 36 stored weights, three steps of 16.
    assert int(work.plan.busy[:, 0].sum()) == 3 * 50


def test_unstructured_zeros_run_dense_and_say_so() -> None:
    mask = Bitmap.pack(np.random.default_rng(1).random((64, 64)) < 0.5)
    work = SPARSELOOP.plan(Matmul(name="gemm", m=64, n=64, k=64, mask=mask))
    assert "not 2:4: dense cycles" in work.notes[0]
    assert work.facts["pattern"] == "dense"


def test_an_operand_that_does_not_fit_shared_memory_is_fetched_again() -> None:
    small = replace(SPARSELOOP, shared_words=70_000)
    fetched = [run(core, (512, 1024, 256)).read_bytes for core in (SPARSELOOP, small)]
    assert fetched[0] == 512 * 1024 + 2 * 512 * 1024 // 2 + 512 * 1024 // 2
    assert fetched[1] > fetched[0]


def test_of_two_mappings_the_faster_is_taken_though_it_fetches_more() -> None:
    # Narrow tiles of columns would be fetched least, and ask more of shared memory than it gives.
    product = SPARSELOOP.product(matmul(197, 768, 3072, (2, 4)), 4)
    chosen = SPARSELOOP.choose(product)
    least = min(mapping.fetched(product) for mapping in mappings(product, 262_144, 65_536))
    assert chosen.fetched(product) > least
    report = run(SPARSELOOP, (768, 3072, 197), (2, 4))
    assert report.cycles < 1.25 * 768 * 3072 * 197 / 2048


def test_area_is_the_artefacts() -> None:
    assert area_mm2(SPARSELOOP.parts()) == pytest.approx(0.340224 + 0.097976 + 0.093536 + 2.604256, abs=1e-5)


VALUES = {
    "subpartitions": "2", "rows": "8", "products": "8", "pass_columns": "64", "largest_group": "8",
    "index_bits": "4", "activations": "gated", "activation_density": "0.5", "shared_words": "9000",
    "index_bytes": "100", "shared_read_words": "7", "dram_read_words": "3", "dram_write_words": "3",
    "clock_hz": "2e9", "launch_seconds": "1e-6", "dram.burst_pj": "100",
    **{f"table.{name}": "0.5" for name in vars(SPARSELOOP.table)},
}  # fmt: skip


@pytest.mark.parametrize("path", VALUES)
def test_a_changed_parameter_is_seen_from_outside(path: str) -> None:
    own = {name for name in paths(SPARSELOOP) if not name.startswith("dram") and name != "table"}
    assert own - set(VALUES) == {"dtype"}
    core = replace(
        SPARSELOOP_FLEXIBLE, largest_group=6, index_bits=3, activations="gated", activation_density=0.7
    )
    if path == "activations":
        core = replace(core, activations="plain")
    layers = (matmul(300, 200, 320, (2, 8)), matmul(2, 300, 96))
    shown = []
    for machine in (core, replace_by_path(core, path, VALUES[path])):
        report = accelsim.run(Workload(model="two", layers=layers), machine, baseline=False)
        shown.append((report.cycles, report.seconds, report.total_pj, report.read_bytes, report.area_mm2))
    assert shown[0] != shown[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 0}, "rows must be > 0, not 0"),
        ({"dtype": "fp16"}, "dtype must be int8 on this machine, not 'fp16'"),
        ({"largest_group": 5}, "largest_group must be 2, 4, 6 ... 64, not 5"),
        ({"largest_group": 8}, "index_bits must be 3..8, not 2"),
        ({"activations": "zero"}, "activations must be one of plain, gated, compressed, not 'zero'"),
        ({"activation_density": 0.0}, "activation_density must be in 0..1, not 0.0"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        replace(SPARSELOOP, **change)
