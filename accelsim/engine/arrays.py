"""A plan, its layout and a machine at rest as the arrays that the compiled loop works on; see `state`."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from accelsim.dram.seat import Seat, most_waiting
from accelsim.engine.state import (
    CAUSES,
    COUNTERS,
    FREE_LANES,
    NEXT_NODE,
    NODE_COLUMNS,
    STATION_COLUMNS,
    Rows,
    State,
    Wiring,
)
from accelsim.plan import Integers, Layout, Plan, Scope


def rows_of(plan: Plan) -> Rows:
    """The plan as flat arrays, one entry per operation."""
    stages = len(plan.layout.stages)
    operations = plan.jobs * stages
    runs = plan.runs[np.argsort(plan.runs["job"] * stages + plan.runs["stage"], kind="stable")]
    after = plan.after[np.argsort(plan.after["job"] * stages + plan.after["stage"], kind="stable")]
    begins = np.flatnonzero(np.diff(plan.group, prepend=plan.group[0] - 1))
    return Rows(
        stages=stages,
        busy=plan.busy.ravel(),
        lag=plan.lag.ravel(),
        drain=plan.drain.ravel(),
        whole=plan.whole.ravel(),
        skip=plan.skip.ravel(),
        take=plan.take,
        give=plan.give,
        group_begin=np.append(begins, plan.jobs),
        run_begin=_offsets(runs, stages, operations),
        run_address=runs["address"].copy(),
        run_count=runs["count"].copy(),
        run_stride=runs["stride"].copy(),
        after_begin=_offsets(after, stages, operations if len(after) else 0),
        after_op=after["other_job"] * stages + after["other_stage"],
    )


def _offsets(rows: npt.NDArray[np.void], stages: int, operations: int) -> Integers:
    """Where each operation's rows begin in an array sorted by operation."""
    counts = np.bincount(rows["job"] * stages + rows["stage"], minlength=operations)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


@lru_cache(maxsize=32)
def wiring_of(layout: Layout) -> Wiring:
    """Number the instances of units, ports and buffers, and who stands behind each; nobody writes to it."""
    stages, lanes = len(layout.stages), layout.lanes
    unit = _instances(layout, [(stage.unit, stage.scope) for stage in layout.stages])
    port = _instances(layout, [(stage.port, stage.scope) for stage in layout.stages])
    buffer = _instances(layout, [(buffer.name, buffer.scope) for buffer in layout.buffers])
    take = np.array([layout.stage(buffer.take) for buffer in layout.buffers], np.int64)
    give = np.array([layout.stage(buffer.give) for buffer in layout.buffers], np.int64)
    stations_of_unit = np.bincount(unit.ravel())
    buffer_shared = np.bincount(buffer.ravel(), minlength=1) > 1
    takers: list[set[int]] = [set() for _ in buffer_shared]
    for lane in range(lanes):
        for b, stage in enumerate(take):
            takers[buffer[lane, b]].add(int(unit[lane, stage]))
    unit_arbitrated = stations_of_unit > 1
    for which, units in enumerate(takers):
        unit_arbitrated[list(units)] |= buffer_shared[which]
    units_of_buffer = [sorted(u for u in units if unit_arbitrated[u]) for units in takers]
    priority = np.array([stage.priority for stage in layout.stages])
    station = np.arange(lanes * stages)
    return Wiring(
        unit=unit.ravel(),
        unit_arbitrated=unit_arbitrated,
        unit_begin=np.concatenate([[0], np.cumsum(stations_of_unit)]),
        unit_rank=np.argsort(np.lexsort((station, np.tile(priority, lanes)))),
        port=port.ravel(),
        write=np.array([stage.write for stage in layout.stages]),
        buffer=buffer,
        buffer_take=take,
        buffer_give=give,
        buffer_capacity=np.array([buffer.capacity for buffer in layout.buffers], np.int64),
        buffer_shared=buffer_shared,
        buffer_unit_begin=np.cumsum([0] + [len(units) for units in units_of_buffer]),
        buffer_unit=np.array([u for units in units_of_buffer for u in units], np.int64),
    )


def _instances(layout: Layout, names: list[tuple[str, Scope]]) -> Integers:
    """(lanes, names) numbers: in the order of first use, one for each lane, site or machine."""
    number = np.zeros((layout.lanes, len(names)), np.int64)
    first: dict[str, int] = {}
    used = 0
    for column, (name, scope) in enumerate(names):
        copies = {"lane": layout.lanes, "site": layout.sites, "machine": 1}[scope]
        if name not in first:
            first[name] = used
            used += copies
        number[:, column] = first[name] + np.arange(layout.lanes) % copies
    return number


def state_of(plan: Plan, wiring: Wiring, place: Seat) -> State:
    """Everything at rest before cycle 0."""
    stages, lanes = len(plan.layout.stages), plan.layout.lanes
    operations, stations = plan.jobs * stages, lanes * stages
    units, ports = wiring.unit_arbitrated.size, int(wiring.port.max()) + 1
    buffers, channels = wiring.buffer_shared.size, place.banks.shape.channels
    counters = np.zeros(COUNTERS, np.int64)
    counters[FREE_LANES] = lanes
    return State(
        start=_unknown(operations),
        free=_unknown(operations),
        end=_unknown(operations),
        first=_unknown(operations),
        unaccepted=np.zeros(operations, np.int64),
        accepted=_unknown(operations),
        pending=np.zeros(operations, np.int64),
        back=_unknown(operations),
        lane=_unknown(plan.jobs),
        stations=np.zeros((stations, STATION_COLUMNS), np.int64),
        unit_holder=_unknown(units),
        unit_dirty=np.zeros(units, np.bool_),
        candidates=np.zeros(stations, np.int64),
        candidate_count=np.zeros(units, np.int64),
        used=np.zeros(buffers, np.int64),
        used_before=np.zeros(buffers, np.int64),
        used_changed=_unknown(buffers),
        waiter=_unknown(operations if len(plan.after) else 0),
        next_waiter=_unknown(stations),
        waits=np.zeros(stations, np.bool_),
        counters=counters,
        work=np.zeros(stations, np.int64),
        dirty=np.zeros(units, np.int64),
        started=np.zeros(stations, np.int64),
        stalled=np.zeros((stages, len(CAUSES)), np.int64),
        queue_head=np.full((channels, ports), -1, np.int64),
        queue_tail=np.full((channels, ports), -1, np.int64),
        offer_port=np.zeros((channels, ports), np.int64),
        offer_since=np.zeros((channels, ports), np.int64),
        offer_count=np.zeros(channels, np.int64),
        touched=np.zeros(channels, np.int64),
        touched_at=_unknown(channels),
        nodes=_nodes(plan, channels * most_waiting(place)),
        order=np.zeros(stations + channels, np.int64),
        place=_unknown(stations + channels),
        times=np.zeros(stations + channels, np.int64),
        queued=np.zeros(1, np.int64),
    )


def _unknown(size: int) -> Integers:
    return np.full(size, -1, np.int64)


def _nodes(plan: Plan, accepted: int) -> Integers:
    """Free nodes for accesses, each pointing at the next: a station queues one operation at a time."""
    stages = len(plan.layout.stages)
    bursts = np.zeros((plan.jobs, stages), np.int64)
    np.add.at(bursts, (plan.runs["job"], plan.runs["stage"]), plan.runs["count"])
    count = plan.layout.lanes * int(bursts.max(axis=0).sum()) + accepted + 1
    nodes = np.zeros((count, NODE_COLUMNS), np.int64)
    nodes[:, NEXT_NODE] = np.arange(1, count + 1)
    return nodes
