"""The compiled engine against the cycle-by-cycle reference on random plans: nothing may differ."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from accelsim.dram import Memory
from accelsim.machine import CAUSES, Deadlock, simulate
from accelsim.plan import Plan
from machine import reference
from machine.compare import COUNTS, LOST, PINS, differences, engine_outcome, plan_of_seed, reference_outcome

PLANS_PER_BATCH = 100


def assert_equal(seed: int, most_jobs: int) -> None:
    """Engine and reference agree on every start, free, end, lane, book, count and deadlock."""
    plan, memory = plan_of_seed(seed, most_jobs)
    found = differences(engine_outcome(plan, memory), reference_outcome(plan, memory))
    assert not found, f"seed {seed}, most_jobs {most_jobs}, engine against reference:\n" + "\n".join(found)


@pytest.mark.parametrize("batch", range(40))
def test_engine_equals_the_reference_on_small_plans(batch: int) -> None:
    for seed in range(batch * PLANS_PER_BATCH, (batch + 1) * PLANS_PER_BATCH):
        assert_equal(seed, most_jobs=9)


@pytest.mark.parametrize("batch", range(4))
def test_engine_equals_the_reference_on_longer_plans(batch: int) -> None:
    for seed in range(100_000 + batch * 8, 100_000 + (batch + 1) * 8):
        assert_equal(seed, most_jobs=60)


def test_engine_and_reference_name_the_same_causes() -> None:
    assert tuple(CAUSES) == reference.CAUSES


def corners(plan: Plan, memory: Memory | None) -> set[str]:
    """The corners of the page that this plan reaches."""
    layout, outcome = plan.layout, reference_outcome(plan, memory)
    if "deadlock" in outcome:
        return {f"deadlock by {outcome['deadlock'][2]}"}
    shared = [
        index
        for index, buffer in enumerate(layout.buffers)
        if buffer.scope != "lane" and layout.lanes > 1 and plan.skip[:, layout.stage(buffer.take)].any()
    ]
    ports = [stage.port for stage in layout.stages if stage.port]
    later = (plan.take != plan.give).any()
    reached = {
        "takes no time": outcome["cycles"] == 0,
        "skipped operation takes from a shared buffer": any(plan.take[:, b].any() for b in shared),
        "sites of unequal size": layout.lanes % layout.sites > 0,
        "lane used again": len(set(plan.group.tolist())) > len(set(outcome["lane"])),
        "port of several stages": len(set(ports)) < len(ports),
        "port that reads and writes": len({(s.port, s.write) for s in layout.stages if s.port})
        > len(set(ports)),
        "a later job gives back": bool(later),
        "no memory": memory is None,
        **{name: outcome.get(name, 0) > 0 for name in COUNTS + PINS},
        **{f"lost to {name}": outcome.get(f"lost to {name}", 0) > 0 for name in LOST},
    }
    for index, cause in enumerate(reference.CAUSES):
        reached[f"stalled by {cause}"] = any(row[index] for row in outcome["stalled"])
    return {name for name, yes in reached.items() if yes}


def test_random_plans_reach_every_corner() -> None:
    counts = Counter(corner for seed in range(500) for corner in corners(*plan_of_seed(seed)))
    rare = {corner: n for corner, n in counts.items() if n < 5}
    assert len(counts) == 8 + len(COUNTS + PINS + LOST) + len(CAUSES) + 2, sorted(counts)
    assert not rare


@pytest.mark.parametrize("seed", range(200_000, 200_100))
def test_books_close(seed: int) -> None:
    plan, memory = plan_of_seed(seed, most_jobs=200)
    try:
        timeline = simulate(plan, memory)
    except Deadlock:
        return
    worked = np.where(plan.skip, 0, plan.busy).sum(axis=0)
    total = timeline.busy + timeline.stalled.sum(axis=1) + timeline.idle
    assert timeline.busy.tolist() == worked.tolist(), seed
    assert (total == plan.layout.lanes * timeline.cycles).all(), seed
    assert min(timeline.stalled.min(), timeline.idle.min()) >= 0, seed
    # Without a memory nothing is moved.
    reads, writes = (plan.bursts(write=write) if memory else 0 for write in (False, True))
    done, bursts = timeline.traffic, memory.access_bytes // memory.dram.burst_bytes if memory else 1
    assert done.read_bursts + done.forwarded + done.cache_hits * bursts == reads * bursts, seed
    assert done.write_bursts + done.merged == writes * bursts, seed
    assert done.row_hits + done.row_misses + done.row_conflicts == done.read_bursts + done.write_bursts, seed
    assert min(done.pins.by_cause().values()) >= 0, seed
    assert timeline.cycles == timeline.end.max(), seed


def test_the_same_plan_gives_the_same_bytes_twice_and_is_left_as_it_was() -> None:
    names = ("start", "free", "end", "lane", "busy", "stalled", "idle")
    for seed in range(300_000, 300_040):
        plan, memory = plan_of_seed(seed, most_jobs=40)
        untouched, _ = plan_of_seed(seed, most_jobs=40)
        first, second = engine_outcome(plan, memory), engine_outcome(plan, memory)
        assert first == second, seed
        if "deadlock" not in first:
            one, two = simulate(plan, memory), simulate(plan, memory)
            for name in names:
                assert getattr(one, name).dtype == np.int64
                assert getattr(one, name).tobytes() == getattr(two, name).tobytes(), (seed, name)
        for name in ("busy", "lag", "drain", "whole", "skip", "take", "give", "group", "runs", "after"):
            assert getattr(plan, name).tobytes() == getattr(untouched, name).tobytes(), (seed, name)
