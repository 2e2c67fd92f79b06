"""A memory that is clocked from outside is the engine's: every operation ends in the same cycle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accelsim.dram import DEVICES, Cache, Memory, clocked
from accelsim.dram.clocked import LONGEST_QUEUE, ClockedMemory, described
from accelsim.machine import simulate
from accelsim.plan import Layout, Plan, Stage


def by_the_engine(memory: Memory, jobs: list[np.ndarray], writes: list[bool]) -> list[int]:
    """The cycle in which each job's accesses are all back."""
    stages = (Stage(name="read", port="read"), Stage(name="write", port="write", write=True))
    ends = []
    plan = Plan(layout=Layout(stages=stages), jobs=len(jobs))
    plan.skip[:] = True
    for job, (addresses, write) in enumerate(zip(jobs, writes, strict=True)):
        plan.skip[job, int(write)] = False
        rows = np.full(addresses.size, job)
        plan.add_runs(stages[write].name, rows, addresses, np.ones_like(addresses), memory.access_bytes)
    end = simulate(plan, memory).end
    for job, write in enumerate(writes):
        ends.append(int(end[job, int(write)]))
    return ends


def by_the_clock(memory: Memory, addresses: np.ndarray, write: bool) -> int:
    clocked = ClockedMemory(memory)
    left = {clocked.offer(0, int(address), write=write) for address in addresses}
    cycle = 0
    while left:
        cycle += 1
        left -= set(clocked.advance(cycle))
    return cycle


@pytest.mark.parametrize("clock_hz", [1e9, 3.3e8, 2.1e9])
@pytest.mark.parametrize("device", ["HBM2-2000x16", "DDR4-2400", "LPDDR4-4266"])
def test_accesses_are_back_in_the_cycle_of_the_engine(device: str, clock_hz: float) -> None:
    generator = np.random.default_rng(len(device))
    for outstanding, write in ((0, False), (3, False), (0, True)):
        memory = Memory(dram=replace(DEVICES[device], outstanding=outstanding), clock_hz=clock_hz)
        for count, spread in ((1, 1), (40, 40), (300, 1 << 14), (400, 90)):
            addresses = generator.integers(0, spread, count) * memory.access_bytes
            (end,) = by_the_engine(memory, [addresses], [write])
            assert by_the_clock(memory, addresses, write) == end


def test_accesses_of_later_cycles_and_writes_among_reads_are_the_engines_too() -> None:
    # Jobs of one stage follow each other when the last access of the one before is accepted.
    generator = np.random.default_rng(7)
    memory = Memory(dram=replace(DEVICES["DDR4-2400"], outstanding=5), clock_hz=1e9)
    first, second, third = (generator.integers(0, 4000, count) * 64 for count in (90, 5, 60))
    stages = (Stage(name="read", port="read"), Stage(name="write", port="write", write=True))
    plan = Plan(layout=Layout(stages=stages), jobs=3)
    plan.skip[:] = True
    for job, (addresses, write) in enumerate(((first, 0), (second, 1), (third, 0))):
        plan.skip[job, write] = False
        ones = np.ones_like(addresses)
        plan.add_runs(stages[write].name, np.full(addresses.size, job), addresses, ones, 64)
    line = simulate(plan, memory)
    clocked, waiting = ClockedMemory(memory), {}
    found = [0, 0, 0]
    for cycle in range(int(line.cycles) + 1):
        for owner in clocked.advance(cycle):
            job = waiting.pop(owner)
            found[job] = max(found[job], cycle)
        for job, (addresses, write) in enumerate(((first, 0), (second, 1), (third, 0))):
            if line.start[job, write] == cycle:
                for address in addresses.tolist():
                    waiting[clocked.offer(cycle, address, write=bool(write))] = job
    assert not waiting
    assert found == [int(line.end[job, write]) for job, write in enumerate((0, 1, 0))]


def test_a_memory_is_known_by_plain_numbers() -> None:
    description = {"device": "HBM2-2000x16", "clock_hz": 1e9, "changes": {"channels": 2}}
    assert described(description).dram.channels == 2
    assert described(description).access_bytes == 32


def test_all_that_both_ports_queue_may_come_back_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocked, "LONGEST_QUEUE", 4)
    memory = Memory(dram=replace(DEVICES["DDR4-2400"], channels=1), clock_hz=1e9)
    seated = ClockedMemory(memory)
    accepted = [seated.offer(0, access * 64, write=False) for access in range(3)]
    assert seated.advance(4) == []
    # Those are accepted by now, and the queues are empty.
    queued = [seated.offer(5, access * 64, write=access >= 14) for access in range(10, 18)]
    assert sorted(seated.advance(10_000)) == accepted + queued


def test_what_has_no_clocked_form_or_no_place_is_refused() -> None:
    memory = Memory(dram=DEVICES["DDR4-2400"], clock_hz=1e9)
    cache = Cache(bytes=1 << 16, line_bytes=64, ways=4, bandwidth=1e11, hit_latency=1e-8, miss_latency=0)
    with pytest.raises(ValueError, match="cache has no clocked form"):
        ClockedMemory(replace(memory, cache=cache))
    clocked = ClockedMemory(memory)
    for access in range(LONGEST_QUEUE):
        clocked.offer(0, access * 64, write=False)
    with pytest.raises(RuntimeError, match="accesses wait"):
        clocked.offer(0, 0, write=False)
