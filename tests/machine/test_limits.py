"""The engine in limits where a formula says what it must say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accelsim.dram.device import DDR4_2400, HBM2_16, Dram, Ticks
from accelsim.machine import simulate
from accelsim.plan import RUN, Buffer, Layout, Plan, Stage
from machine.compare import engine_outcome, plan_of_seed

# One channel and one way, one burst a cycle, back the cycle after it was accepted.
PLAIN = Ticks(
    channels=1,
    interleave=64,
    burst_bytes=64,
    outstanding=1 << 20,
    accepts=1,
    ways=1,
    ticks=1,
    service=1,
    latency=0,
    refresh_interval=0,
    refresh_ticks=0,
    sets=0,
    assoc=1,
    cache_service=1,
    cache_latency=0,
)


def private_pipeline(rng: np.random.Generator) -> tuple[Plan, list[int]]:
    """Stages that share nothing, one group; slots of one place between random stages. And the capacities."""
    stages = [Stage(name=f"s{index}") for index in range(int(rng.integers(1, 7)))]
    buffers = []
    for index in range(int(rng.integers(0, 3))):
        take = int(rng.integers(len(stages)))
        give = int(rng.integers(take, len(stages)))
        capacity = int(rng.integers(1, 5))
        buffers.append(Buffer(name=f"b{index}", capacity=capacity, take=f"s{take}", give=f"s{give}"))
    plan = Plan(layout=Layout(stages=tuple(stages), buffers=tuple(buffers)), jobs=int(rng.integers(1, 200)))
    for column in (plan.busy, plan.lag, plan.drain):
        column[:] = rng.integers(0, int(rng.integers(1, 20)), column.shape)
    plan.whole[:] = rng.random(plan.whole.shape) < 0.2
    plan.skip[:] = rng.random(plan.skip.shape) < rng.choice([0.0, 0.2])
    plan.take[:] = plan.give[:] = 1
    plan.check()
    return plan, [buffer.capacity for buffer in buffers]


def recurrence(plan: Plan, capacities: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start, free and end of a private pipeline: job by job, stage by stage, only max and plus."""
    start, free, end = (np.zeros_like(plan.busy) for _ in range(3))
    for j in range(plan.jobs):
        for s in range(len(plan.layout.stages)):
            upstream = int(end[j, s - 1]) if s else 0
            times = [int(free[j - 1, s])] if j else [0]
            if s and plan.whole[j, s]:
                times.append(upstream)
            elif s:
                times.append(int(start[j, s - 1] + (0 if plan.skip[j, s - 1] else plan.lag[j, s - 1])))
            for buffer, capacity in zip(plan.layout.buffers, capacities, strict=True):
                if plan.layout.stage(buffer.take) == s and j >= capacity:
                    times.append(int(end[j - capacity, plan.layout.stage(buffer.give)]))
            start[j, s] = max(times)
            skip = bool(plan.skip[j, s])
            free[j, s] = start[j, s] if skip else max(int(start[j, s] + plan.busy[j, s]), upstream)
            drained = int(free[j, s]) + (0 if skip else int(plan.drain[j, s]))
            end[j, s] = max(drained, upstream, int(end[j - 1, s]) if j else 0)
    return start, free, end


def test_a_single_stage_is_a_running_sum() -> None:
    rng = np.random.default_rng(0)
    plan = Plan(layout=Layout(stages=(Stage(name="a"),)), jobs=5000)
    plan.busy[:, 0] = rng.integers(0, 30, plan.jobs)
    plan.drain[:, 0] = rng.integers(0, 30, plan.jobs)
    timeline = simulate(plan, None)
    free = np.cumsum(plan.busy[:, 0])
    assert timeline.free[:, 0].tolist() == free.tolist()
    assert timeline.start[:, 0].tolist() == (free - plan.busy[:, 0]).tolist()
    assert timeline.end[:, 0].tolist() == np.maximum.accumulate(free + plan.drain[:, 0]).tolist()


@pytest.mark.parametrize("seed", range(60))
def test_a_pipeline_without_sharing_is_a_max_plus_recurrence(seed: int) -> None:
    plan, capacities = private_pipeline(np.random.default_rng(seed))
    timeline = simulate(plan, None)
    for name, expected in zip(("start", "free", "end"), recurrence(plan, capacities), strict=True):
        assert getattr(timeline, name).tolist() == expected.tolist(), (seed, name)


@pytest.mark.parametrize("seed", range(20))
def test_groups_on_lanes_are_a_greedy_list_schedule(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lanes, jobs = int(rng.integers(1, 40)), 400
    plan = Plan(layout=Layout(stages=(Stage(name="a"),), lanes=lanes), jobs=jobs)
    plan.group[:] = np.arange(jobs)
    plan.busy[:, 0] = rng.integers(0, 50, jobs)
    free_at = np.zeros(lanes, np.int64)
    starts, chosen = [], []
    for busy in plan.busy[:, 0]:
        now = free_at.min()
        lane = int(np.flatnonzero(free_at <= now)[0])
        starts.append(int(now))
        chosen.append(lane)
        free_at[lane] = now + busy
    timeline = simulate(plan, None)
    assert (timeline.start[:, 0].tolist(), timeline.lane.tolist()) == (starts, chosen)
    assert timeline.cycles == free_at.max()


@pytest.mark.parametrize("seed", range(10))
def test_one_unit_for_all_lanes_is_never_idle_while_anyone_waits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lanes, jobs = int(rng.integers(2, 20)), 300
    plan = Plan(layout=Layout(stages=(Stage(name="a", scope="machine"),), lanes=lanes), jobs=jobs)
    plan.group[:] = np.arange(jobs)
    plan.busy[:, 0] = rng.integers(0, 9, jobs)
    timeline = simulate(plan, None)
    assert timeline.cycles == plan.busy.sum()
    order = np.lexsort((timeline.free[:, 0], timeline.start[:, 0]))
    assert (timeline.start[order[1:], 0] == timeline.free[order[:-1], 0]).all()


def load(bursts: int, ticks: Ticks, jobs: int = 1) -> Plan:
    """One memory stage that reads `bursts` bursts in a row, split evenly over its jobs."""
    plan = Plan(layout=Layout(stages=(Stage(name="load", port="p"),)), jobs=jobs)
    count = bursts // jobs
    first = np.arange(jobs) * count * ticks.burst_bytes
    plan.add_runs("load", np.arange(jobs), first, count, ticks.burst_bytes)
    plan.check()
    return plan


@pytest.mark.parametrize("seed", range(60))
def test_a_bandwidth_bound_stage_takes_bytes_over_bandwidth(seed: int) -> None:
    rng = np.random.default_rng(seed)
    channels, ways, service, ticks, latency = (int(n) for n in rng.integers(1, (17, 5, 30, 9, 300)))
    device = PLAIN._replace(
        channels=channels,
        ways=ways,
        service=service,
        ticks=ticks,
        latency=latency,
        accepts=ways * -(-ticks // service),
    )
    bursts = int(rng.integers(1, 5000))
    cycles = simulate(load(bursts, device), device).cycles
    fullest_way = -(-bursts // (channels * ways))
    assert cycles == -(-(fullest_way * service + latency) // ticks), seed
    bytes_over_bandwidth = bursts * service / (channels * ways * ticks)
    assert bytes_over_bandwidth <= cycles < bytes_over_bandwidth + (service + latency) / ticks + 1, seed


@pytest.mark.parametrize("device", [DDR4_2400, HBM2_16], ids=lambda device: device.device)
def test_a_preset_reaches_its_bandwidth_less_refresh(device: Dram) -> None:
    clock_hz, amount = 1e9, 1 << 20
    duty = 1 - device.refresh_time / device.refresh_interval
    for preset, bandwidth in (
        (replace(device, refresh_interval=0.0, refresh_time=0.0), device.bandwidth),
        (device, device.bandwidth * duty),
    ):
        # Room for every burst, so that the outstanding limit does not bind.
        ticks = preset.at(clock_hz)._replace(outstanding=1 << 20)
        seconds = simulate(load(amount // ticks.burst_bytes, ticks, jobs=64), ticks).cycles / clock_hz
        spare = (
            device.latency + device.refresh_time + device.refresh_interval * (preset is device) * (1 - duty)
        )
        assert amount / bandwidth * 0.995 - spare <= seconds <= amount / bandwidth * 1.005 + spare + 5e-9


@pytest.mark.parametrize("seed", range(20))
def test_one_outstanding_burst_pays_the_round_trip_every_time(seed: int) -> None:
    service, latency, ticks, bursts = (
        int(n) for n in np.random.default_rng(seed).integers(1, (20, 200, 9, 300))
    )
    device = PLAIN._replace(service=service, latency=latency, ticks=ticks, outstanding=1)
    assert simulate(load(bursts, device), device).cycles == bursts * -(-(service + latency) // ticks)


@pytest.mark.parametrize(
    ("bursts", "latency", "busy"), [(8, 0, 3), (8, 0, 8), (4, 20, 24), (4, 20, 100), (1, 0, 0)]
)
def test_double_buffering_hides_the_shorter_of_load_and_compute(bursts: int, latency: int, busy: int) -> None:
    tiles = 50
    stages = (Stage(name="load", port="p"), Stage(name="compute"))
    room = Buffer(name="room", capacity=2, take="load", give="compute")
    plan = Plan(layout=Layout(stages=stages, buffers=(room,)), jobs=tiles)
    plan.busy[:, 1], plan.whole[:, 1], plan.take[:], plan.give[:] = busy, True, 1, 1
    plan.add_runs("load", np.arange(tiles), np.arange(tiles) * bursts * 64, bursts, 64)
    cycles = simulate(plan, PLAIN._replace(latency=latency)).cycles
    first = bursts + latency
    assert cycles == (first + tiles * busy if busy >= first else tiles * bursts + busy)


def test_without_memory_only_the_compute_cycles_are_left() -> None:
    for seed in range(200):
        plan, ticks = plan_of_seed(seed, most_jobs=30)
        without_runs, _ = plan_of_seed(seed, most_jobs=30)
        without_runs.runs = np.zeros(0, RUN)
        assert engine_outcome(plan, None) == engine_outcome(without_runs, ticks), seed
