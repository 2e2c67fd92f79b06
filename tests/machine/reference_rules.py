"""The conditions of `docs/engine.md`: when an operation may start, is free, and ends.

`reference.py` changes the state, this file only looks at it. Nothing is remembered that can be asked
again. Each rule is a method, so that a test can plant a fault in it.
"""

from __future__ import annotations

from accelsim.dram import Memory as Parameters
from accelsim.plan import Plan
from machine.reference_memory import Burst, Memory


class Rules:
    """A plan, how far it has come, and what may happen to it in cycle `now`."""

    memory_type = Memory

    def __init__(self, plan: Plan, memory: Parameters | None) -> None:
        """Nothing has started and no group has a lane."""
        layout = plan.layout
        self.plan, self.stages, self.buffers = plan, layout.stages, layout.buffers
        self.lanes, self.sites = layout.lanes, layout.sites
        self.jobs = range(plan.jobs)
        self.columns = range(len(self.stages))
        for name in ("busy", "lag", "drain", "whole", "skip", "take", "give", "group"):
            setattr(self, name, getattr(plan, name).tolist())
        self.afters = [tuple(row) for row in plan.after.tolist()]
        self.memory = None if memory is None else self.memory_type(memory)
        self.unit_numbers = self.number([stage.unit for stage in self.stages])
        self.port_numbers = self.number([stage.port for stage in self.stages])
        self.lane: list[int | None] = [None for _ in self.jobs]
        self.on_lane: list[list[int]] = [[] for _ in range(self.lanes)]
        self.used: dict[tuple[int, int], int] = {}
        self.holder: dict[int, tuple[int, int] | None] = {}
        self.start, self.free, self.end, self.bursts, self.cause = (
            [[None for _ in self.columns] for _ in self.jobs] for _ in range(5)
        )
        self.waited, self.held = ([[0 for _ in self.columns] for _ in self.jobs] for _ in range(2))
        self.busy_cycles = [0 for _ in self.columns]
        self.idle_cycles = [0 for _ in self.columns]
        self.started_now: list[tuple[int, int]] = []
        self.now = 0

    # What shares what

    def instance(self, scope: str, lane: int) -> int:
        """Which of the copies that a scope makes belongs to a lane."""
        return {"lane": lane, "site": lane % self.sites, "machine": 0}[scope]

    def sharers(self, scope: str, lane: int) -> list[int]:
        """The lanes that share a lane's copy."""
        return [i for i in range(self.lanes) if self.instance(scope, i) == self.instance(scope, lane)]

    def number(self, names: list[str]) -> dict[tuple[str, int], int]:
        """(name, instance) -> number: distinct names in the order of first use, instances ascending."""
        numbers: dict[tuple[str, int], int] = {}
        for name, stage in zip(names, self.stages, strict=True):
            if not name:
                continue
            for instance in range({"lane": self.lanes, "site": self.sites, "machine": 1}[stage.scope]):
                numbers.setdefault((name, instance), len(numbers))
        return numbers

    def unit(self, s: int, lane: int) -> int:
        """The number of the unit that a station wants."""
        return self.unit_numbers[self.stages[s].unit, self.instance(self.stages[s].scope, lane)]

    def station(self, s: int, lane: int) -> int:
        """Station number."""
        return lane * len(self.stages) + s

    def taken_at(self, s: int) -> list[int]:
        """The buffers from which a stage takes."""
        return [b for b in range(len(self.buffers)) if self.buffers[b].take == self.stages[s].name]

    def given_at(self, s: int) -> list[int]:
        """The buffers to which a stage gives back."""
        return [b for b in range(len(self.buffers)) if self.buffers[b].give == self.stages[s].name]

    def lanes_share(self, b: int, lane: int) -> bool:
        """Does this lane's copy of the buffer serve other lanes too?"""
        return len(self.sharers(self.buffers[b].scope, lane)) > 1

    def is_arbitrated(self, j: int, s: int) -> bool:
        """Must this operation be granted its start?"""
        lane = self.lane[j]
        shared = [b for b in self.taken_at(s) if self.lanes_share(b, lane)]
        if self.skip[j][s]:
            return any(self.take[j][b] > 0 for b in shared)
        stations = [
            (q, i) for i in range(self.lanes) for q in self.columns if self.unit(q, i) == self.unit(s, lane)
        ]
        return len(stations) > 1 or bool(shared)

    # Conditions of a start

    def before(self, j: int) -> int | None:
        """The job before this one in its group."""
        return j - 1 if j > 0 and self.group[j - 1] == self.group[j] else None

    def order_holds(self, j: int, s: int) -> bool:
        """The group is on a lane, and the job before has left the stage."""
        if self.lane[j] is None:
            return False
        before = self.before(j)
        if before is None:
            return True
        if self.skip[before][s]:
            return self.start[before][s] is not None
        return self.free[before][s] is not None

    def input_holds(self, j: int, s: int) -> bool:
        """The stage before is far enough."""
        if s == 0:
            return True
        p = s - 1
        if self.whole[j][s]:
            return self.end[j][p] is not None
        if self.start[j][p] is None:
            return False
        if self.skip[j][p]:
            return True
        if self.bursts[j][p]:
            first = self.first_back(self.bursts[j][p])
            return first is not None and self.now >= first + self.lag_of(j, p)
        return self.now >= self.start[j][p] + self.lag_of(j, p)

    def first_back(self, bursts: list[Burst]) -> int | None:
        """The cycle in which the first burst, whichever, came back; None if that is still to be."""
        return min((b.back for b in bursts if b.back is not None and b.back <= self.now), default=None)

    def lag_of(self, j: int, s: int) -> int:
        """Cycles from start, or first data, to the next stage."""
        return self.lag[j][s]

    def after_holds(self, j: int, s: int) -> bool:
        """Every listed operation has ended."""
        return all(self.end[oj][os] is not None for (aj, a, oj, os) in self.afters if (aj, a) == (j, s))

    def buffer_holds(self, j: int, s: int) -> bool:
        """Every buffer that is taken has room."""
        return all(
            self.take[j][b] == 0
            or self.used.get(self.room(b, j), 0) + self.take[j][b] <= self.buffers[b].capacity
            for b in self.taken_at(s)
        )

    def room(self, b: int, j: int) -> tuple[int, int]:
        """The copy of a buffer that a job uses."""
        return (b, self.instance(self.buffers[b].scope, self.lane[j]))

    def unit_holds(self, j: int, s: int) -> bool:
        """The unit is free. Skipped operations need none."""
        return self.skip[j][s] or self.holder.get(self.unit(s, self.lane[j])) is None

    def could_start(self, j: int, s: int) -> bool:
        """All conditions but the grant."""
        return (
            self.start[j][s] is None
            and self.order_holds(j, s)
            and self.input_holds(j, s)
            and self.after_holds(j, s)
            and self.buffer_holds(j, s)
            and self.unit_holds(j, s)
        )

    # Conditions of free and end

    def upstream_ended(self, j: int, s: int) -> bool:
        """The stage before has ended."""
        return s == 0 or self.end[j][s - 1] is not None

    def could_be_free(self, j: int, s: int) -> bool:
        """Busy is over, the stage before has ended, all bursts are accepted."""
        return (
            self.start[j][s] is not None
            and self.free[j][s] is None
            and self.now >= self.start[j][s] + self.busy[j][s]
            and self.upstream_ended(j, s)
            and all(b.accepted is not None and b.accepted <= self.now for b in self.bursts[j][s])
        )

    def could_end(self, j: int, s: int) -> bool:
        """All bursts are back, drain is over, the stage before and the job before have ended."""
        return (
            self.free[j][s] is not None
            and self.end[j][s] is None
            and all(b.back is not None and b.back <= self.now for b in self.bursts[j][s])
            and (self.skip[j][s] or self.drained(j, s))
            and self.upstream_ended(j, s)
            and self.keeps_order(j, s)
        )

    def drained(self, j: int, s: int) -> bool:
        """Drain cycles since free are over."""
        return self.now >= self.free[j][s] + self.drain[j][s]

    def keeps_order(self, j: int, s: int) -> bool:
        """The job before has ended in this stage."""
        return self.before(j) is None or self.end[self.before(j)][s] is not None
