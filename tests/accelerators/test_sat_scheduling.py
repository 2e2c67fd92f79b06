"""SAT's scheduler: what it takes is as fast, through the banks, as the best that it could have taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from accelsim.accelerators.base import memory_of
from accelsim.accelerators.products import Pattern
from accelsim.accelerators.sat import PAPER, TINY, Sat, schedule
from accelsim.accelerators.sat.layout import plan_of
from accelsim.accelerators.sat.products import choose, gemm_of
from accelsim.accelerators.sat.tiling import Tiling, cuts, tiling
from accelsim.golden.formats import Bitmap, select_nm
from accelsim.models import network
from accelsim.run import run
from accelsim.windows import Segment, simulate_windows
from accelsim.workload import Matmul, Workload

pytestmark = pytest.mark.slow  # without compilation

PATTERNS = (Pattern(), Pattern(kept=2, group=4), Pattern(kept=2, group=8), Pattern(kept=1, group=16))


def drawn(seed: int) -> tuple[Sat, Matmul, Pattern]:
    """A small machine, a product of one of the stages, its pattern."""
    rng = np.random.default_rng(seed)
    sizes = {
        "activation_buffer": 1 << 18,
        "weight_buffer": 1 << 17,
        "output_buffer": 1 << int(rng.integers(15, 19)),
    }
    machine = TINY if seed % 2 else replace(PAPER, **sizes)
    machine = replace(machine, dram=replace(machine.dram, channels=int(rng.integers(1, 3))))
    m, n, k = (int(2**power) for power in rng.uniform(3, 11, 3))
    stage = ("ff", "bp", "wu")[rng.integers(3)]
    pattern = Pattern() if stage == "wu" else PATTERNS[rng.integers(4)]
    return machine, Matmul(name=f"a.{stage}", m=m, n=n, k=k, stage=stage, weights=stage != "wu"), pattern


def simulated(made: Tiling, machine: Sat) -> int:
    """Cycles with every burst."""
    plan, segments = plan_of(made.blocks, machine.array(), machine.dram.burst_bytes)
    whole = segments or (Segment(first=0, last=plan.jobs),)
    return simulate_windows(plan, memory_of(machine), whole, 0)[0].cycles


def test_no_dataflow_and_no_blocks_are_faster_than_those_chosen() -> None:
    lost = []
    for seed in range(24):
        machine, product, pattern = drawn(seed)
        gemm = gemm_of(machine, product, pattern)
        chosen = simulated(choose(machine, product, pattern).tiling, machine)
        others = [
            simulated(tiling(flow, gemm, machine.array(), *cut), machine)
            for flow in ("os", "ws")
            for cut in cuts(flow, gemm, machine.array())
        ]
        lost.append(chosen / min(others) - 1)
    assert max(lost) < 0.1
    assert fmean(lost) < 0.005


def test_sums_that_fill_the_output_buffer_are_not_chosen_where_the_array_would_wait_for_their_store() -> None:
    product = Matmul(name="a.ff", m=33280, n=512, k=512, stage="ff")
    gemm = gemm_of(PAPER, product, Pattern())
    chosen = choose(PAPER, product, Pattern())
    # Two columns of folds fill the buffer: the store of one must be over while the other's last fold runs.
    full = tiling("ws", gemm, PAPER.array(), 16384)
    assert simulated(full, PAPER) > 1.04 * full.compute_cycles
    assert simulated(chosen.tiling, PAPER) < 1.01 * chosen.tiling.compute_cycles


def masked(stage: str, m: int, n: int, k: int, pattern: str) -> Workload:
    kept, group = map(int, pattern.split(":"))
    mask = Bitmap.pack(select_nm(np.random.default_rng(0).random((n, k)), kept, group))
    geometry = {"pattern": pattern}
    layer = Matmul(name=f"a.{stage}", m=m, n=n, k=k, stage=stage, mask=mask, geometry=geometry)
    return Workload(model="one product", layers=(layer,), synthetic=True)


@pytest.mark.parametrize("pattern", ["2:4", "2:8", "2:16", "3:4"])
def test_a_pruned_product_is_never_slower_than_the_dense_one(pattern: str) -> None:
    rng = np.random.default_rng(1)
    expanded = 0
    for _ in range(12):
        m, n, k = (int(2**power) for power in rng.uniform(3, 10, 3))
        report = run(masked("bp", m, n, k, pattern), replace(PAPER, most_bursts=0))
        assert report.speedup is not None
        assert report.speedup > 0.99
        expanded += report.layers[0].facts.get("weights") == "expanded"
    assert expanded


def test_a_short_reduction_runs_expanded_and_its_word_says_so(tmp_path: Path) -> None:
    # A quarter of ResNet-9's first layers: two groups of eight would use 2 of 32 rows, twice as long.
    work = masked("bp", 20000, 144, 16, "2:8")
    free, held = run(work, PAPER), run(work, replace(PAPER, expand=False))
    (row,) = free.layers
    assert row.facts["weights"] == "expanded"
    assert "ws expanded" in str(row.facts["why"])
    assert free.baseline is not None
    assert free.speedup == pytest.approx(1, abs=0.01)
    assert held.cycles > 1.2 * free.cycles
    # Zeros are multiplied, but not stored.
    assert row.macs_done == row.macs_dense
    assert row.read_bytes is not None
    assert row.read_bytes <= free.baseline.layers[0].read_bytes
    path = str(tmp_path / "words.json")
    schedule.save(path, PAPER, [free])
    again = run(work, replace(PAPER, schedule=path, expand=False), baseline=False)
    assert again.cycles == free.cycles
    assert again.layers[0].facts["word"] == row.facts["word"]


@pytest.mark.parametrize("pattern", ["2:4", "2:8"])
def test_a_network_gains_no_more_than_its_products_have_fewer_multiplications(pattern: str) -> None:
    step = network("vit-cifar", f"bdwp,{pattern}", batch=128, train=True)
    products = [layer for layer in step.layers if isinstance(layer, Matmul)]
    bound = sum(layer.macs for layer in products) / sum(layer.m * layer.kept for layer in products)
    assert 1 < (run(step, PAPER).speedup or 0) <= bound
