"""What the engine and the reference say about one plan, in a form that can be compared."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.dram import Memory
from accelsim.machine import Deadlock, simulate
from accelsim.plan import Plan
from machine.plans import draw
from machine.reference import Deadlock as ReferenceDeadlock
from machine.reference import Machine

ARRAYS = ("start", "free", "end", "lane", "busy", "stalled", "idle")
COUNTS = (
    "read_bursts",
    "write_bursts",
    "forwarded",
    "merged",
    "cache_hits",
    "row_hits",
    "row_misses",
    "row_conflicts",
    "activates",
    "refreshes",
)
PINS = ("clocks", "data", "refused")
LOST = ("conflicts", "activates", "refresh", "bus")
Outcome = dict[str, Any]


def engine_outcome(plan: Plan, memory: Memory | None) -> Outcome:
    """Everything the compiled engine says, as lists and integers; or its deadlock."""
    try:
        timeline = simulate(plan, memory)
    except Deadlock as deadlock:
        return {"deadlock": (deadlock.job, deadlock.stage, deadlock.cause)}
    outcome: Outcome = {name: np.asarray(getattr(timeline, name)).tolist() for name in ARRAYS}
    outcome["cycles"] = timeline.cycles
    if memory is None:
        return outcome
    traffic = timeline.traffic
    outcome |= {name: getattr(traffic, name) for name in COUNTS}
    outcome |= {name: getattr(traffic.pins, name) for name in PINS}
    return outcome | {f"lost to {name}": getattr(traffic.pins, name) for name in LOST}


def reference_outcome(
    plan: Plan, memory: Memory | None, machine: type[Machine] = Machine, limit: int = 100_000
) -> Outcome:
    """Everything the reference says, or a variant of it with a planted fault."""
    try:
        result = machine(plan, memory).run(limit)
    except ReferenceDeadlock as deadlock:
        return {"deadlock": (deadlock.job, deadlock.stage, deadlock.cause)}
    return {name: getattr(result, name) for name in (*ARRAYS, "cycles")} | result.traffic


def differences(ours: Outcome, theirs: Outcome) -> list[str]:
    """One line for each field that is not equal."""
    return [
        f"{name}: {ours.get(name)} against {theirs.get(name)}"
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    ]


def plan_of_seed(seed: int, most_jobs: int = 9) -> tuple[Plan, Memory | None]:
    """The random plan that belongs to a seed."""
    return draw(np.random.default_rng(seed), most_jobs)
