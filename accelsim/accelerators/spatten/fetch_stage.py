"""The fetch stage of SpAtten alone, as the engine times it: what RTL and a memory are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from accelsim.accelerators.spatten.layout import PORT
from accelsim.dram.clocked import described
from accelsim.machine import simulate
from accelsim.plan import Buffer, Layout, Plan, Stage


def fetched_cycle(
    description: Mapping[str, Any],
    requests: Sequence[Sequence[int]],
    *,
    first_cycle: int,
    slots: int,
    data_cycles: int,
) -> int:
    """The cycle in which the last burst of all requests is back; each holds addresses in order.

    description: a memory (`accelsim.dram.clocked.described`). first_cycle: in which the first burst is on
    offer to it. A burst is a job. It holds one of `slots` from the clock that sends its address, one a clock,
    until its data is taken: in the order of the addresses, one a clock, `data_cycles` after it is back at the
    soonest. With a slot for every burst it is the fetch stage of the plans of `SpAtten`, which know of none.
    """
    memory = described(description)
    stages = (
        Stage(name="begin"),
        Stage(name="send"),
        Stage(name="fetch", unit="fetcher", port=PORT),
        Stage(name="take"),
    )
    held = Buffer(name="slots", capacity=slots, take="send", give="take")
    addresses = np.concatenate([np.array(each, np.int64) for each in requests])
    plan = Plan(layout=Layout(stages=stages, buffers=(held,)), jobs=addresses.size)
    plan.whole[:, 1:], plan.take[:], plan.give[:] = True, 1, 1
    plan.busy[0, 0] = first_cycle - 1
    plan.busy[:, [1, 3]] = 1
    plan.drain[:, 3] = data_cycles
    plan.add_runs("fetch", np.arange(addresses.size), addresses, 1, memory.access_bytes)
    return int(simulate(plan, memory).end[:, 2].max())
