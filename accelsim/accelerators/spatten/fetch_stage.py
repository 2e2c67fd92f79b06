"""The fetch stage of SpAtten alone, as the engine times it: what RTL and a memory are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from accelsim.accelerators.spatten.layout import PORT
from accelsim.dram.clocked import described
from accelsim.machine import simulate
from accelsim.plan import Layout, Plan, Stage


def fetched_cycle(
    description: Mapping[str, Any], requests: Sequence[Sequence[int]], *, first_cycle: int
) -> int:
    """The cycle in which the last burst of all requests is back; each holds addresses in order.

    description: a memory (`accelsim.dram.clocked.described`). first_cycle: in which the first one starts.
    """
    memory = described(description)
    stages = (Stage(name="begin"), Stage(name="fetch", unit="fetcher", port=PORT))
    plan = Plan(layout=Layout(stages=stages), jobs=len(requests))
    plan.busy[0, 0], plan.whole[:, 1] = first_cycle, True
    for job, addresses in enumerate(requests):
        each = np.array(addresses, np.int64)
        plan.add_runs("fetch", np.full(each.size, job), each, np.ones_like(each), memory.access_bytes)
    return int(simulate(plan, memory).end[:, 1].max())
