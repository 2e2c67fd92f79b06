"""What the tests of SpAtten share: its presets, attention with drawn scores, and what a layer takes."""

from typing import Any

import numpy as np

from accelsim.accelerators.base import LayerPlan, memory_of
from accelsim.accelerators.spatten import PRESETS, SpAtten
from accelsim.machine import Timeline, simulate
from accelsim.workload import Attention

FULL, EIGHTH, TINY = PRESETS["full"], PRESETS["eighth"], PRESETS["tiny"]

# Fill and drain of a row (sheet of bert.cpp): QxK 11, softmax 7 + 21 + 23 and 29 + 7, PxV 5.
PIPELINE = 103


def attention(
    *,
    heads: int = 2,
    queries: int = 1,
    keys: int = 64,
    kept: int | None = None,
    seed: int = 0,
    **changes: Any,
) -> Attention:
    """Attention with drawn scores; each row keeps `kept` values."""
    shape = (changes.get("batch", 1), heads, queries)
    scores = np.random.default_rng(seed).integers(0, 4097, (*shape, keys)).astype(np.uint16)
    values = None if kept is None else np.full(shape, kept, np.int32)
    given = {"kv_heads": heads, "dim": 64, "value_dim": 64, "scores": scores, "values": values}
    return Attention(name="attention", heads=heads, queries=queries, keys=keys, **(given | changes))


def compute_cycles(machine: SpAtten, layer: Attention) -> int:
    return simulate(machine.plan(layer).plan, None).cycles


def time_of(machine: SpAtten, work: LayerPlan) -> Timeline:
    return simulate(work.plan, memory_of(machine))


def read_bytes(machine: SpAtten, layer: Attention) -> int:
    return machine.plan(layer).plan.bursts(write=False) * machine.dram.burst_bytes
