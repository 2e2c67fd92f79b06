"""Long plans through windows: exact where nothing is left out, close to all bursts where something is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accelsim.accelerators.base import memory_of
from accelsim.accelerators.products import Pattern
from accelsim.accelerators.sat import PAPER
from accelsim.accelerators.sat.layout import plan_of
from accelsim.accelerators.sat.products import gemm_of
from accelsim.accelerators.sat.tiling import tiling
from accelsim.machine import simulate
from accelsim.windows import Segment, compute_cycles, cut, paced, simulate_windows
from accelsim.workload import Matmul, Update

pytestmark = pytest.mark.slow  # without compilation

MEMORY = memory_of(PAPER)
WORKS = {
    "forward": Matmul(name="a.ff", m=8192, n=256, k=1152, stage="ff"),
    "gradient": Matmul(name="a.wu", m=2304, n=512, k=1 << 14, stage="wu", weights=False),
    "memory bound": Matmul(name="b.ff", m=4096, n=4096, k=32, stage="ff"),
    "update": Update(name="a.update", n=2048, k=2048, forward="2:8", backward="2:8", state=1),
}


@pytest.mark.parametrize("name", WORKS)
def test_windows_agree_with_every_burst(name: str) -> None:
    work = replace(PAPER, dataflow="os").plan(WORKS[name])
    once = (Segment(first=0, last=work.plan.jobs),)
    whole = simulate(work.plan, MEMORY)
    found, simulated = simulate_windows(work.plan, MEMORY, once, 1 << 15)
    assert found.share < 0.9
    assert found.cycles == pytest.approx(whole.cycles, rel=0.03)
    assert found.traffic.read_bursts == work.plan.bursts(write=False)
    assert found.traffic.write_bursts == work.plan.bursts(write=True)
    assert found.traffic.row_hits == pytest.approx(whole.traffic.row_hits, rel=0.05)
    assert len(simulated) > 1
    total = found.busy + found.stalled.sum(axis=1) + found.idle
    assert (total == found.cycles).all()
    assert min(found.idle.min(), found.stalled.min()) >= 0
    exact, _ = simulate_windows(work.plan, MEMORY, once, 0)
    assert (exact.share, exact.cycles) == (1, whole.cycles)
    assert (exact.busy == whole.busy).all()


def test_a_wait_at_the_end_of_every_panel_is_counted_as_often_as_it_comes() -> None:
    # Sums of two columns of folds fill the output buffer, and the array waits for their stores.
    product = Matmul(name="a.ff", m=33280, n=512, k=512, stage="ff")
    blocks = tiling("ws", gemm_of(PAPER, product, Pattern()), PAPER.array(), 16384).blocks
    plan, _ = plan_of(blocks, PAPER.array(), PAPER.dram.burst_bytes)
    segments = (Segment(first=0, last=plan.jobs),)
    every, _ = simulate_windows(plan, MEMORY, segments, 0)
    assert every.cycles > 1.03 * compute_cycles(plan, segments)
    for most in (1 << 14, 1 << 16, 1 << 18):
        found, _ = simulate_windows(plan, MEMORY, segments, most)
        assert found.share < 0.3
        assert found.cycles == pytest.approx(every.cycles, rel=0.03)


def test_a_memory_without_banks_takes_as_long_as_the_bytes() -> None:
    plan = PAPER.plan(WORKS["memory bound"]).plan
    bursts = plan.bursts(write=False) + plan.bursts(write=True)
    flat = paced(plan, 64, 32.0)
    flat.check()
    assert not len(flat.runs)
    assert simulate(flat, None).cycles == pytest.approx(2 * bursts, rel=0.02)
    # The plan itself is as it was.
    assert len(plan.runs)
    assert plan.layout.stages[0].port


def test_a_repeated_block_counts_as_often_as_it_comes() -> None:
    one = Matmul(name="a.ff", m=16384, n=128, k=576, stage="ff")
    cycles = {}
    for rows in (4, 8):
        machine = replace(PAPER, dataflow="ws", most_bursts=0)
        work = machine.plan(replace(one, m=rows * 16384))
        assert work.segments
        found, _ = simulate_windows(work.plan, MEMORY, work.segments, 0)
        ideal = rows * 16384 * one.n * one.k // (machine.rows * machine.cols)
        assert ideal <= compute_cycles(work.plan, work.segments) <= found.cycles
        cycles[rows] = found.cycles
    # Four blocks more, each as long as one that is neither the first nor the last.
    work = replace(PAPER, dataflow="ws").plan(replace(one, m=8 * 16384))
    block = work.segments[-1]
    size = int(str(work.facts["blocks"]).split()[2])
    alone = simulate(cut(work.plan, block.first, block.last), MEMORY).cycles
    assert (cycles[8] - cycles[4]) / 4 / (16384 / size) == pytest.approx(alone, rel=0.05)


def test_a_piece_of_a_plan_gives_back_all_that_it_holds() -> None:
    plan = PAPER.plan(WORKS["forward"]).plan
    piece = cut(plan, 5, 40)
    piece.check()
    assert (piece.take.sum(axis=0) == piece.give.sum(axis=0)).all()
    assert piece.runs["job"].max() < 35
    assert np.array_equal(piece.busy, plan.busy[5:40])
