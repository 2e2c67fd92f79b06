"""SpAtten's fetcher in the machine: what its ports cost, what is under way, and idle lanes."""

from dataclasses import replace

import numpy as np
import pytest

from accelsim.accelerators.base import memory_of
from accelsim.accelerators.spatten import PRESETS
from accelsim.accelerators.spatten.issue import channels_of
from accelsim.dram import DEVICES
from accelsim.machine import simulate
from accelsim.units.crossbar import PRESETS as CROSSBARS
from accelsim.units.crossbar import cycles
from accelsim.workload import Attention

FULL = PRESETS["full"]


def attention(tokens: np.ndarray, *, dim: int = 64, length: int = 4096) -> Attention:
    return Attention(
        name="attention",
        heads=1,
        kv_heads=1,
        queries=1,
        keys=tokens.size,
        dim=dim,
        value_dim=dim,
        bits=(8, 0),
        tokens=tokens.astype(np.int32)[None, :],
        dense_keys=length,
    )


def held(layer: Attention, ports: int) -> int:
    """Cycles for which the fetch of K holds the fetcher, beyond what a channel takes."""
    plan = replace(FULL, address_ports=ports).plan(layer).plan
    return int(plan.busy[0, plan.layout.stage("fetch_keys")])


def test_neighbouring_vectors_pass_without_a_wait_and_scattered_ones_do_not() -> None:
    rng = np.random.default_rng(0)
    scattered = np.sort(rng.choice(4096, 900, replace=False))
    assert held(attention(np.arange(900)), 32) == 0
    assert held(attention(scattered), 32) > 900 * 2 / 16
    assert held(attention(np.arange(900)), 4) == pytest.approx(900 * 2 / 4, abs=2)


def test_a_fetch_holds_the_fetcher_for_the_clocks_of_the_unit() -> None:
    rng = np.random.default_rng(1)
    layer = attention(np.sort(rng.choice(4096, 500, replace=False)))
    plan = FULL.plan(layer).plan
    runs = plan.runs[plan.runs["stage"] == 0]
    bursts = np.concatenate([row["address"] + 32 * np.arange(row["count"]) for row in runs])
    streams = [bursts[port::32].tolist() for port in range(32)]
    assert held(layer, 32) == cycles(CROSSBARS["addresses"], streams) - 1


@pytest.mark.parametrize("name", ["HBM2-2000x16", "HBM2-2000", "DDR4-2400"])
@pytest.mark.parametrize("mapping", ["RoBaRaCoCh", "RoChRaBaBgCo"])
def test_channels_are_those_that_the_memory_counts(name: str, mapping: str) -> None:
    device = replace(DEVICES[name], mapping=mapping)
    addresses = np.random.default_rng(0).integers(0, device.capacity_bytes // 32, 1000) * 32
    channels = channels_of(device, addresses)
    assert set(channels.tolist()) <= set(range(device.channels))
    if mapping == "RoBaRaCoCh":
        assert (channels == addresses // device.burst_bytes % device.channels).all()


def test_more_bursts_under_way_bring_a_stream_nearer_to_the_peak() -> None:
    layer = attention(np.arange(1000))
    times = [
        simulate(machine.plan(layer).plan, memory_of(machine)).cycles
        for machine in (replace(FULL, dram=replace(FULL.dram, outstanding=most)) for most in (1, 16, 64))
    ]
    assert times == sorted(times, reverse=True)
    assert FULL.dram.outstanding == 64
    assert any("at most 64 bursts under way" in line for line in FULL.assumptions())


@pytest.mark.parametrize(
    ("dim", "keys", "values"), [(64, 0, 0), (32, 0.5, 0), (80, 0.375, 0.375), (512, 0, 0)]
)
def test_a_report_says_how_many_lanes_are_idle(dim: int, keys: float, values: float) -> None:
    facts = FULL.plan(attention(np.arange(10), dim=dim)).facts
    assert (facts["qk_lanes_idle"], facts["pv_lanes_idle"]) == (keys, values)
