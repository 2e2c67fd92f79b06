"""Where operands lie: each byte has one place, and what is fetched again is read there, sums too."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.accelerators.folds import Folds, output_stationary, weight_stationary
from accelsim.accelerators.gemm import Array, Gemm
from accelsim.accelerators.sat import PAPER
from accelsim.plan import Plan
from accelsim.workload import Matmul

BURST = 16


def bursts(plan: Plan, stage: str) -> list[list[int]]:
    """Addresses of a stage by job, in order."""
    found: list[list[int]] = [[] for _ in range(plan.jobs)]
    for job, at, address, count, stride, _ in plan.runs.tolist():
        if at == plan.layout.stage(stage):
            found[job] += range(address, address + count * stride, stride)
    return found


def drawn(seed: int) -> tuple[Gemm, Array]:
    rng = np.random.default_rng(seed)
    m, n, k = (int(size) for size in rng.integers(1, 120, 3))
    sizes = {
        name: int(2 ** rng.uniform(9, 14)) for name in ("activation_buffer", "weight_buffer", "output_buffer")
    }
    return Gemm(m=m, n=n, k=k), Array(rows=8, cols=int(rng.integers(1, 12)), **sizes)


@pytest.mark.parametrize("make", [output_stationary, weight_stationary])
def test_every_byte_has_one_place(make: object) -> None:
    again = spilled = 0
    for seed in range(60):
        gemm, array = drawn(seed)
        assert callable(make)
        try:
            folds = make(gemm, array)
        except ValueError:
            continue
        assert isinstance(folds, Folds)
        plan = folds.plan(array, BURST)
        fetched, stored = bursts(plan, "fetch"), bursts(plan, "store")
        reads = [address for job in fetched for address in job]
        writes = [address for job in stored for address in job]
        places = set(reads) | set(writes)
        # From 0 on without a hole: weights, activations, sums.
        assert places == set(range(0, len(places) * BURST, BURST))
        again += len(reads) > len(set(reads))
        operands = set(reads) - set(writes)
        least = 2 * (gemm.m * gemm.k + gemm.n * gemm.k) / BURST
        # A tile is rounded up to bursts, in each of its rows of pieces once.
        assert least <= len(operands) <= least + 2 * folds.busy.size
        # What comes back was stored before, by the piece that it resumes.
        for job in np.flatnonzero(folds.partials).tolist():
            before = stored[int(folds.resume[job])]
            assert fetched[job][-len(before) :] == before
            spilled += 1
        final = [
            job for job in np.flatnonzero(folds.outputs).tolist() if job not in set(folds.resume.tolist())
        ]
        results = [address for job in final for address in stored[job]]
        assert len(results) == len(set(results))
        assert not set(results) & set(reads)
    assert again > 5
    assert spilled > 50 or make is output_stationary


def test_joined_products_have_their_own_places() -> None:
    gemm, array = (
        Gemm(m=40, n=20, k=30),
        Array(rows=8, cols=8, activation_buffer=4096, weight_buffer=4096, output_buffer=4096),
    )
    one = weight_stationary(gemm, array)
    alone, both = one.plan(array, BURST), Folds.join([one, one]).plan(array, BURST)
    count = [len({a for job in bursts(plan, "fetch") for a in job}) for plan in (alone, both)]
    assert count[1] == 2 * count[0]


@pytest.mark.slow  # without compilation
def test_a_large_product_needs_no_more_memory_than_its_operands_by_block() -> None:
    size = 20000
    plan = PAPER.plan(Matmul(name="gemm", m=size, n=size, k=size)).plan
    ends = plan.runs["address"] + plan.runs["count"] * 64
    assert int(ends.max()) < 3 * 3 * 2 * size * size
    assert plan.bursts(write=False) * 64 > 10 * 2 * size * size
