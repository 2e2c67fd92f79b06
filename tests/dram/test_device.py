"""Memory devices: what becomes of seconds and bytes a second in ticks of a clock, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accelsim.dram import DDR4_2400, HBM2_16
from accelsim.dram.device import FINEST_TICK, Dram
from accelsim.machine import simulate
from accelsim.plan import Layout, Plan, Stage

CACHED = replace(DDR4_2400, cache_bytes=1 << 16, cache_bandwidth=100e9, cache_latency=5e-9)


def test_a_burst_takes_its_share_of_the_bandwidth_at_any_clock() -> None:
    rng = np.random.default_rng(0)
    for device in (DDR4_2400, HBM2_16):
        for _ in range(500):
            bandwidth, clock = float(10 ** rng.uniform(9, 14)), float(10 ** rng.uniform(7.5, 9.5))
            ticks = replace(device, bandwidth=bandwidth).at(clock)
            cycles = device.burst_bytes * device.channels * device.ways * clock / bandwidth
            allowed = 1 / 480 if cycles >= 1 else 1 / 240
            assert ticks.service / ticks.ticks == pytest.approx(max(cycles, 1 / FINEST_TICK), rel=allowed)
            assert 1 <= ticks.ticks <= FINEST_TICK
            assert ticks.latency == pytest.approx(device.latency * clock * ticks.ticks, abs=0.5)
            served_in_a_cycle = device.ways / max(cycles, 1 / FINEST_TICK)
            assert ticks.accepts >= served_in_a_cycle * (1 - 1e-9)


def test_more_bandwidth_is_never_slower_even_beyond_all_measure() -> None:
    plan = Plan(layout=Layout(stages=(Stage(name="load", port="p"),)), jobs=1)
    plan.add_runs("load", 0, 0, 1000, 64)
    cycles = [
        simulate(plan, replace(DDR4_2400, bandwidth=10.0**power, outstanding=64).at(1e9)).cycles
        for power in range(9, 19)
    ]
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[0] > 60_000
    assert cycles[-1] < 500


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": 0}, "dram.channels must be >= 1, not 0"),
        ({"bandwidth": 0.0}, "dram.bandwidth must be > 0, not 0.0"),
        ({"bandwidth": float("nan")}, "dram.bandwidth must be > 0, not nan"),
        ({"latency": -1e-9}, "dram.latency must be >= 0, not -1e-09"),
        ({"interleave": -64}, "dram.interleave must be >= 0, not -64"),
        ({"interleave": 96}, "dram.interleave must be a multiple of burst_bytes=64, not 96"),
        ({"refresh_time": 1.0}, "dram.refresh_time must be <= its interval 7.8e-06, not 1.0"),
        ({"cache_latency": -1.0}, "dram.cache_latency must be >= 0, not -1.0"),
        ({"cache_bandwidth": 0.0}, "dram.cache_bandwidth must be > 0 with a cache, not 0.0"),
        ({"cache_bytes": 64}, r"dram.cache_bytes must be 0 or >= 1024 \(a set in each channel\), not 64"),
    ],
)
def test_a_device_that_cannot_be_is_refused_by_name(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        replace(CACHED, **change)  # type: ignore[arg-type]


def test_each_parameter_of_a_device_reaches_the_engine() -> None:
    before = CACHED.at(1e9)
    changed: dict[str, float] = {
        "channels": 2,
        "bandwidth": 20e9,
        "burst_bytes": 32,
        "latency": 1e-6,
        "outstanding": 33,
        "interleave": 128,
        "ways": 2,
        "refresh_interval": 9e-6,
        "refresh_time": 1e-6,
        "cache_bytes": 1 << 17,
        "cache_ways": 8,
        "cache_bandwidth": 50e9,
        "cache_latency": 1e-6,
    }
    assert {*changed, "device", "source"} == set(Dram.__dataclass_fields__)
    for name, value in changed.items():
        assert replace(CACHED, **{name: value}).at(1e9) != before, name  # type: ignore[arg-type]
