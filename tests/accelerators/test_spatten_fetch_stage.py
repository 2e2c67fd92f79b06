"""The fetch stage with slots beside that of the accelerator's plans, which knows of none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accelsim.accelerators.spatten.fetch_stage import fetched_cycle
from accelsim.accelerators.spatten.layout import PORT
from accelsim.dram import DEVICES
from accelsim.dram.clocked import described
from accelsim.machine import simulate
from accelsim.plan import Layout, Plan, Stage
from accelsim.units.fetch_stage import PRESETS
from accelsim.units.reorder import LARGEST_BURSTS

FIRST_CYCLE = 3


def described_as(device: str) -> dict[str, Any]:
    return {
        "device": device,
        "changes": {"channels": 1, "outstanding": 64},
        "clock_hz": float(DEVICES[device].clock_hz),
    }


def fetched(memory: dict[str, Any], requests: list[list[int]], slots: int) -> int:
    return fetched_cycle(memory, requests, first_cycle=FIRST_CYCLE, slots=slots, data_cycles=2)


def by_the_plans_stage(memory: dict[str, Any], requests: list[list[int]]) -> int:
    """A request is one job, all of whose bursts are on offer at once."""
    stages = (Stage(name="begin"), Stage(name="fetch", unit="fetcher", port=PORT))
    plan = Plan(layout=Layout(stages=stages), jobs=len(requests))
    plan.busy[0, 0], plan.whole[:, 1] = FIRST_CYCLE, True
    for job, addresses in enumerate(requests):
        plan.add_runs("fetch", job, addresses, 1, 1)
    return int(simulate(plan, described(memory)).end[:, 1].max())


def drawn(generator: np.random.Generator, burst_bytes: int) -> list[list[int]]:
    """Records of a few bursts, of kept tokens in order, now and then far away."""
    requests = []
    for _ in range(8):
        record, base = int(generator.integers(1, 5)), int(generator.integers(1 << 20))
        tokens = np.flatnonzero(generator.random(60) < 0.5) * int(generator.choice([1, 64, 5000]))
        bursts = base + (tokens[:, None] * record + np.arange(record)).ravel()
        requests.append((bursts * burst_bytes).tolist() or [base * burst_bytes])
    return requests


@pytest.mark.parametrize("device", sorted(DEVICES))
def test_with_a_slot_for_every_burst_it_is_the_stage_of_the_plans(device: str) -> None:
    generator, memory = np.random.default_rng(7), described_as(device)
    for _ in range(3):
        requests = drawn(generator, DEVICES[device].burst_bytes)
        bursts = sum(map(len, requests))
        assert fetched(memory, requests, slots=bursts) == by_the_plans_stage(memory, requests)
        assert fetched(memory, requests, slots=4) > by_the_plans_stage(memory, requests)


@pytest.mark.parametrize("preset", ["hbm2", "ddr4"])
@pytest.mark.parametrize("slots", [16, 64, LARGEST_BURSTS])
def test_no_number_of_slots_suffices_where_a_row_has_many_hits(preset: str, slots: int) -> None:
    """A burst of another row of the bank waits for them, and all that were asked for after it hold slots."""
    parameters = PRESETS[preset]
    memory, burst_bytes = parameters.memory, parameters.beat_bits // 8
    hits = [column * burst_bytes for column in range(8)]
    behind = hits * (slots // 8)
    requests = [[*hits, 1 << 24, *behind]]
    without = by_the_plans_stage(memory, requests)
    assert fetched(memory, requests, slots=slots) > without
    assert fetched(memory, requests, slots=1 + len(behind)) == without


@pytest.mark.parametrize("device", sorted(DEVICES))
def test_the_bus_carries_all_that_a_channel_gives(device: str) -> None:
    """Of one clock at most a burst of each pseudo-channel, and none in the next: see `FetchStage`."""
    found = DEVICES[device]
    assert found.pseudo_channels <= 2
    assert found.pseudo_channels <= found.BL
