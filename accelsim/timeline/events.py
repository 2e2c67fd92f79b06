"""What happened in one layer as events: stages of each lane, buffers, and the memory's channels.

Cycles of the layer become cycles of the run by adding its first. Counters say what they hold from then on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from accelsim.dram import Memory
from accelsim.plan import Integers
from accelsim.timeline.channels import bandwidth, commands
from accelsim.timeline.layers import Pass

LAYERS, BUFFERS, DRAM, FIRST_LANE = 1, 2, 3, 10
MOST_LANES = 8
STAGE_SHARE, BUFFER_SHARE = 0.6, 0.2

Event = dict[str, Any]


@dataclass
class Budget:
    """Events that a layer may have, and those that it has."""

    most: int
    spent: int = 0

    def take(self, share: float) -> int:
        """So much of the whole, as a number of events."""
        return max(1, int(self.most * share))


@dataclass
class Tracks:
    """The tracks of a file: a number for each name of a stage, and which tracks were named already."""

    stages: dict[str, int] = field(default_factory=dict)
    named: set[tuple[int, int]] = field(default_factory=set)

    def of(self, stage: str) -> int:
        """The stage's number on every lane; layers may run on machines with other stages."""
        return self.stages.setdefault(stage, len(self.stages) + 1)

    def introduced(self, event: Event) -> Iterator[Event]:
        """Names of the event's process and thread, where they are new."""
        pid, tid = event["pid"], event["tid"]
        names = {LAYERS: "layers", BUFFERS: "buffers", DRAM: "DRAM"}
        whole = names.get(pid, f"lane {pid - FIRST_LANE}")
        for track, kind, name in (
            (0, "process_name", whole),
            (tid, "thread_name", event.get("cat", whole)),
        ):
            if (pid, track) not in self.named:
                self.named.add((pid, track))
                yield {"ph": "M", "pid": pid, "tid": track, "name": kind, "args": {"name": name}}


def layer_events(
    one: Pass,
    begin: int,
    shown: tuple[int, int],
    budget: Budget,
    clock_hz: float,
    memory: Memory,
    tracks: Tracks,
    *,
    fine: bool,
) -> Iterator[Event]:
    """Events of cycles `shown` of the layer, which begins in cycle `begin` of the run.

    `fine`: waits inside an operation and single DRAM commands, too. At the end an instant says what was left
    out, if anything was.
    """
    until, left_out = shown[1], [one.left_out] if one.left_out else []
    operations = _operations(one, shown)
    most = budget.take(STAGE_SHARE) // (2 if fine else 1)
    if len(operations) > most:
        until = int(one.timeline.start.ravel()[operations[most]])
        left_out.append(f"stages from cycle {begin + until:,} on ({len(operations) - most:,} operations)")
        operations = operations[:most]
    if one.timeline.lanes > MOST_LANES:
        left_out.append(f"lanes from {MOST_LANES} of {one.timeline.lanes} on")
    for event in _stages(one, operations, shown, begin, tracks, fine=fine):
        budget.spent += 1
        yield event
    room = budget.take(BUFFER_SHARE)
    for event in _buffers(one, (shown[0], until), begin):
        if room == 0:
            left_out.append(f"buffers from cycle {event['ts']:,} on")
            break
        room -= 1
        budget.spent += 1
        yield event
    room = max(1, budget.most - budget.spent - 1)
    of_memory = commands if fine else bandwidth
    for event in of_memory(one.timeline.commands, memory, clock_hz, shown, begin, room, DRAM):
        if event["ph"] == "i":
            left_out.append(event["name"])
            break
        budget.spent += 1
        yield event
    if left_out:
        budget.spent += 1
        yield {
            "ph": "i",
            "s": "t",
            "pid": LAYERS,
            "tid": 1,
            "ts": begin + shown[0],
            "name": "left out",
            "args": {"layer": one.layer, "what": "; ".join(left_out)},
        }


def _operations(one: Pass, shown: tuple[int, int]) -> Integers:
    """Flat numbers of the operations that hold their unit in those cycles, in the order of their start."""
    timeline = one.timeline
    start, free = timeline.start.ravel(), timeline.free.ravel()
    lane = np.repeat(timeline.lane, len(timeline.stages))
    inside = (
        (start < shown[1]) & (free > shown[0]) & ~one.plan.skip.ravel() & (lane < MOST_LANES) & (free > start)
    )
    found = np.flatnonzero(inside)
    return found[np.lexsort((found, start[found]))]


def _stages(
    one: Pass, operations: Integers, shown: tuple[int, int], begin: int, tracks: Tracks, *, fine: bool
) -> Iterator[Event]:
    """A slice from start to free for each operation; inside it what it waits for with its unit held."""
    timeline, stages = one.timeline, len(one.timeline.stages)
    start, free, end = timeline.start.ravel(), timeline.free.ravel(), timeline.end.ravel()
    busy = one.plan.busy.ravel()
    for op in operations.tolist():
        job, stage = divmod(op, stages)
        first, last = max(int(start[op]), shown[0]), min(int(free[op]), shown[1])
        event = {
            "ph": "X",
            "pid": FIRST_LANE + int(timeline.lane[job]),
            "tid": tracks.of(timeline.stages[stage]),
            "ts": begin + first,
            "dur": last - first,
            "name": f"job {job}",
            "cat": timeline.stages[stage],
            "args": {"job": job, "busy": int(busy[op]), "end": begin + int(end[op])},
        }
        yield event
        waits = max(int(start[op] + busy[op]), first)
        if fine and waits < last:
            upstream = stage > 0 and end[op - 1] == free[op]
            yield {
                **event,
                "ts": begin + waits,
                "dur": last - waits,
                "name": "waits for upstream" if upstream else "waits for memory",
                "args": {"job": job},
            }


def _buffers(one: Pass, shown: tuple[int, int], begin: int) -> Iterator[Event]:
    """What each copy of each buffer holds, whenever that changes; the last word is that it is empty."""
    changes: list[tuple[int, str, int]] = []
    for index, buffer in enumerate(one.plan.layout.buffers):
        copies = {"lane": one.timeline.lanes, "site": one.plan.layout.sites, "machine": 1}[buffer.scope]
        copy = one.timeline.lane % copies
        taken = one.timeline.start[:, one.plan.layout.stage(buffer.take)]
        given = one.timeline.end[:, one.plan.layout.stage(buffer.give)]
        for which in range(min(copies, MOST_LANES)):
            mine = copy == which
            name = buffer.name if copies == 1 else f"{buffer.name} {which}"
            cycles = np.concatenate([taken[mine], given[mine]])
            amounts = np.concatenate([one.plan.take[mine, index], -one.plan.give[mine, index]])
            changes += _held(name, cycles, amounts, shown)
    for cycle, name, held in sorted(changes):
        yield {
            "ph": "C",
            "pid": BUFFERS,
            "tid": 1,
            "ts": begin + cycle,
            "name": name,
            "args": {"held": held},
        }


def _held(
    name: str, cycles: Integers, amounts: Integers, shown: tuple[int, int]
) -> list[tuple[int, str, int]]:
    """(cycle, name, what is held from then on) inside the cycles that are shown, from their first on."""
    at, which = np.unique(cycles, return_inverse=True)
    sums = np.zeros(at.size, np.int64)
    np.add.at(sums, which, amounts)
    at, held = at[sums != 0], np.cumsum(sums)[sums != 0]
    before = int(held[at <= shown[0]][-1]) if (at <= shown[0]).any() else 0
    inside = (at > shown[0]) & (at < shown[1])
    found = [(shown[0], name, before)]
    found += [(int(cycle), name, int(amount)) for cycle, amount in zip(at[inside], held[inside], strict=True)]
    return [*found, (shown[1], name, 0)]
