"""The engine in limits where a formula says what it must say."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numba
import numpy as np
import pytest

from accelsim.dram import DDR4_2400, Dram, Memory
from accelsim.dram.simulation import Totals
from accelsim.dram.simulation import simulate as alone_simulate
from accelsim.dram.trace import Chunk
from accelsim.machine import simulate
from accelsim.plan import RUN, Buffer, Layout, Plan, Stage
from machine.compare import engine_outcome, plan_of_seed


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


def load(lines: np.ndarray, dram: Dram, *, write: bool = False) -> Plan:
    """One operation that asks for these bursts, in this order."""
    plan = Plan(layout=Layout(stages=(Stage(name="load", port="p", write=write),)), jobs=1)
    plan.add_runs("load", 0, lines * dram.burst_bytes, 1, dram.burst_bytes)
    plan.check()
    return plan


@pytest.mark.parametrize("clock_hz", [200e6, 1e12 / 833, 3.1e9])
@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("kind", ["sequential", "scattered", "two ranks"])
def test_a_stream_takes_the_clocks_that_it_takes_as_a_trace(kind: str, write: bool, clock_hz: float) -> None:
    dram = replace(DDR4_2400, ranks=2 if kind == "two ranks" else 1)
    count = 300 if numba.config.DISABLE_JIT else 20_000
    lines = np.arange(count) if kind == "sequential" else np.random.default_rng(0).integers(0, 1 << 20, count)
    none = np.zeros(count, np.int64)
    alone = trace([Chunk(lines=lines, writes=none + write, earliest=none)], dram)
    memory = Memory(dram=dram, clock_hz=clock_hz)
    timeline = simulate(load(lines, dram, write=write), memory)
    clocks = 1 / memory.clocks
    assert timeline.free[0, 0] == ceil(alone.cycles * clocks)
    assert timeline.cycles == ceil(alone.drained * clocks)
    done = timeline.traffic
    assert (done.row_hits, done.row_misses, done.row_conflicts) == (
        alone.row_hits,
        alone.row_misses,
        alone.row_conflicts,
    )
    assert done.read_bursts + done.write_bursts + done.merged == count


def trace(chunks: list[Chunk], dram: Dram) -> Totals:
    """The same requests without a machine."""
    return alone_simulate(dram, chunks)


def test_groups_of_banks_in_turn_keep_the_pins_busy_but_for_refresh() -> None:
    dram = replace(DDR4_2400, mapping="RoBaRaCoBgCh")
    count = 500 if numba.config.DISABLE_JIT else 50_000
    memory = Memory(dram=dram, clock_hz=1e9)
    pins = simulate(load(np.arange(count), dram), memory).traffic.pins
    assert pins.data > 0.9 * pins.clocks
    assert pins.bus + pins.conflicts < 0.02 * pins.clocks


def test_one_outstanding_burst_pays_the_round_trip_every_time() -> None:
    dram = replace(DDR4_2400, outstanding=1)
    memory = Memory(dram=dram, clock_hz=float(dram.clock_hz))
    cycles = simulate(load(np.arange(20), dram), memory).cycles
    # The first waits a clock for its activate; each other is accepted in the clock after the one before.
    assert cycles == 1 + dram.tRCDRD + dram.CL + dram.BL + 19 * (1 + dram.CL + dram.BL)


def test_without_memory_only_the_compute_cycles_are_left() -> None:
    for seed in range(200):
        plan, _ = plan_of_seed(seed, most_jobs=30)
        without_runs, _ = plan_of_seed(seed, most_jobs=30)
        without_runs.runs = np.zeros(0, RUN)
        assert engine_outcome(plan, None) == engine_outcome(without_runs, None), seed
