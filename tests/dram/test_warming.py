"""A cache that holds what was read before: as if the reads had been simulated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accelsim.dram import DEVICES, Cache, Memory
from accelsim.machine import simulate
from accelsim.plan import Layout, Plan, Stage

pytestmark = pytest.mark.slow  # without compilation

DEVICE = replace(DEVICES["HBM2-2000"], channels=3, interleave=128)
CACHE = Cache(
    bytes=3 * 16 * 4 * 128,
    line_bytes=128,
    ways=4,
    bandwidth=1e12,
    hit_latency=1e-8,
    miss_latency=1e-8,
)


def reads(addresses: np.ndarray) -> Plan:
    """One after the other, so that they are used in this order."""
    plan = Plan(layout=Layout(stages=(Stage(name="load", port="r", scope="machine"),)), jobs=addresses.size)
    plan.whole[:] = True
    plan.add_runs("load", np.arange(addresses.size), addresses, 1, 128)
    return plan


@pytest.mark.parametrize("seed", range(5))
def test_lines_that_are_held_are_those_that_reads_would_have_left(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, after = (rng.integers(0, 400, size) * 128 for size in (300, 100))
    memory = Memory(dram=DEVICE, clock_hz=1e9, cache=CACHE)
    first = simulate(reads(before), memory).traffic.cache_hits
    both = simulate(reads(np.concatenate([before, after])), memory).traffic.cache_hits
    held = simulate(reads(after), memory, held=before).traffic.cache_hits
    assert held == both - first
    assert held > simulate(reads(after), memory).traffic.cache_hits


def test_without_a_cache_nothing_is_held() -> None:
    memory = Memory(dram=DEVICE, clock_hz=1e9)
    found = simulate(reads(np.arange(4) * 128), memory, held=np.arange(4) * 128)
    assert found.traffic.cache_hits == 0
    assert found.traffic.read_bursts == 4
