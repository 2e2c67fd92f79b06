"""The engine of `docs/engine.md`, cycle by cycle, in plain Python.

Written from that page alone and sharing no code with `accelsim/machine.py`. Every cycle evaluates
every condition (`reference_rules.py`) of every operation anew, and the books are kept by looking at
every station in every cycle. Each rule is a method, so that a test can plant a fault in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.dram import Memory as Parameters
from accelsim.plan import Plan
from machine.reference_memory import Burst
from machine.reference_rules import Rules

CAUSES = ("input", "after", "buffer", "unit", "upstream", "memory")


@dataclass(frozen=True, kw_only=True)
class Result:
    """Times are [job][stage], `lane` is [job], `stalled` is [stage][cause], `busy` and `idle` are [stage]."""

    start: list[list[int]]
    free: list[list[int]]
    end: list[list[int]]
    lane: list[int]
    cycles: int
    busy: list[int]
    stalled: list[list[int]]
    idle: list[int]
    traffic: dict[str, int]


class Deadlock(Exception):
    """Nothing can ever happen again: the lowest job not ended, its first stage not ended, the cause."""

    def __init__(self, job: int, stage: str, cause: str) -> None:
        """Job number, name of the stage, cause as the page lists them."""
        super().__init__(f"job {job}, stage {stage!r}: {cause}")
        self.job, self.stage, self.cause = job, stage, cause


def reference(plan: Plan, memory: Parameters | None, limit: int = 100_000) -> Result:
    """Every start, free and end of a plan, and its books. Deadlock, or ValueError beyond `limit` cycles."""
    return Machine(plan, memory).run(limit)


class Machine(Rules):
    """A plan on its way through the machine."""

    # What changes

    def do_start(self, j: int, s: int) -> None:
        """Take the buffers and the unit, and offer the bursts."""
        self.start[j][s] = self.now
        for b in self.taken_at(s):
            self.used[self.room(b, j)] = self.used.get(self.room(b, j), 0) + self.take[j][b]
        self.bursts[j][s] = []
        if self.skip[j][s]:
            self.free[j][s] = self.now
            return
        self.holder[self.unit(s, self.lane[j])] = (j, s)
        if self.memory is not None:
            self.bursts[j][s] = self.bursts_of(j, s)
            self.started_now.append((j, s))

    def bursts_of(self, j: int, s: int) -> list[Burst]:
        """The bursts of an operation, in run order."""
        stage = self.stages[s]
        return [
            Burst(address + i * stride, stage.write, self.port(s, self.lane[j]))
            for (job, column, address, count, stride, _) in self.plan.runs.tolist()
            if (job, column) == (j, s)
            for i in range(count)
        ]

    def port(self, s: int, lane: int) -> int:
        """The number of the port of a station."""
        return self.port_numbers[self.stages[s].port, self.instance(self.stages[s].scope, lane)]

    def do_free(self, j: int, s: int) -> None:
        """Release the unit."""
        self.free[j][s] = self.now
        self.holder[self.unit(s, self.lane[j])] = None

    def do_end(self, j: int, s: int) -> None:
        """Give the buffers back."""
        self.end[j][s] = self.now
        self.give_back(j, s)

    def give_back(self, j: int, s: int) -> None:
        """Give back what the row says at this stage."""
        for b in self.given_at(s):
            self.used[self.room(b, j)] = self.used.get(self.room(b, j), 0) - self.give[j][b]

    # A cycle

    def open_operations(self) -> list[tuple[int, int]]:
        """Operations on a lane that have not ended, in station order."""
        return [(j, s) for jobs in self.on_lane for s in self.columns for j in jobs if self.end[j][s] is None]

    def moves(self) -> bool:
        """One look at every open operation: end, free, start what is not arbitrated."""
        moved = False
        for j, s in self.open_operations():
            if self.could_end(j, s):
                self.do_end(j, s)
                moved = True
            elif self.could_be_free(j, s):
                self.do_free(j, s)
                moved = True
            elif self.could_start(j, s) and not self.is_arbitrated(j, s):
                self.do_start(j, s)
                moved = True
        return moved

    def lane_is_free(self, lane: int) -> bool:
        """No group, or every job of it has ended in every stage."""
        return all(self.end[j][s] is not None for j in self.on_lane[lane] for s in self.columns)

    def fill_a_lane(self) -> bool:
        """The next group, if there is one, goes to the lowest free lane."""
        waiting = [j for j in self.jobs if self.lane[j] is None]
        lane = self.choose_lane([i for i in range(self.lanes) if self.lane_is_free(i)])
        if not waiting or lane is None:
            return False
        self.on_lane[lane] = [j for j in waiting if self.group[j] == self.group[waiting[0]]]
        for j in self.on_lane[lane]:
            self.lane[j] = lane
        return True

    def choose_lane(self, free: list[int]) -> int | None:
        """The lowest free lane."""
        return min(free, default=None)

    def grant(self) -> bool:
        """One arbitrated station that could start now starts."""
        ready = [op for op in self.open_operations() if self.could_start(*op) and self.is_arbitrated(*op)]
        if not ready:
            return False
        self.do_start(*min(ready, key=lambda op: self.grant_rank(*op)))
        return True

    def grant_rank(self, j: int, s: int) -> tuple[int, ...]:
        """The least is granted: lowest unit, then priority, then station."""
        lane = self.lane[j]
        return (self.unit(s, lane), self.stages[s].priority, self.station(s, lane))

    def send(self) -> None:
        """Queue the bursts of the operations that started in this cycle, by station number."""
        if self.memory is None:
            return
        for j, s in sorted(self.started_now, key=lambda op: self.send_rank(*op)):
            self.memory.send(self.bursts[j][s], self.now)
        self.started_now = []

    def send_rank(self, j: int, s: int) -> int:
        """The order of operations that start in one cycle."""
        return self.station(s, self.lane[j])

    def cycle(self) -> bool:
        """Everything of this cycle. True if anything happened, or will in the memory."""
        happened = False
        if self.memory is not None:
            self.memory.run_to(self.memory.first_clock(self.now))
        while self.moves() or self.fill_a_lane() or self.grant():
            happened = True
        self.send()
        return (self.memory is not None and self.memory.is_busy()) or happened

    def something_is_timed(self) -> bool:
        """Will any condition come true by the clock alone?"""
        times = [0]
        for j, s in [(j, s) for j in self.jobs for s in self.columns if self.start[j][s] is not None]:
            times.append(self.start[j][s] + self.busy[j][s])
            times.append(self.start[j][s] + self.lag[j][s])
            for burst in self.bursts[j][s]:
                for moment in (burst.accepted, burst.back):
                    if moment is not None:
                        times.append(moment + self.lag[j][s])
            if self.free[j][s] is not None:
                times.append(self.free[j][s] + self.drain[j][s])
        return max(times) > self.now

    def run(self, limit: int) -> Result:
        """Cycle after cycle, until every operation has ended."""
        while self.now < limit:
            happened = self.cycle()
            if all(self.end[j][s] is not None for j in self.jobs for s in self.columns):
                return self.result()
            if not happened and not self.something_is_timed():
                raise self.deadlock()
            self.keep_books()
            self.now += 1
        raise ValueError(f"a plan must end within {limit} cycles")

    # Books

    def keep_books(self) -> None:
        """What every station did in this cycle, seen after its last step."""
        for lane in range(self.lanes):
            for s in self.columns:
                self.keep_book(lane, s)

    def keep_book(self, lane: int, s: int) -> None:
        """Exactly one of busy, holding, waiting, idle for one station."""
        for j in self.on_lane[lane]:
            if self.start[j][s] is None:
                if self.order_holds(j, s):
                    self.waited[j][s] += 1
                    self.cause[j][s] = self.wait_cause(j, s)
                    return
            elif self.free[j][s] is None:
                if self.now < self.start[j][s] + self.busy[j][s]:
                    self.busy_cycles[s] += 1
                else:
                    self.held[j][s] += 1
                return
        self.idle_cycles[s] += 1

    def wait_cause(self, j: int, s: int) -> str:
        """The first condition that does not hold now."""
        if not self.input_holds(j, s):
            return "input"
        if not self.after_holds(j, s):
            return "after"
        if not self.buffer_holds(j, s):
            return "buffer"
        return "unit"

    def hold_cause(self, j: int, s: int) -> str:
        """What kept a unit beyond its busy cycles."""
        return "upstream" if s > 0 and self.end[j][s - 1] == self.free[j][s] else "memory"

    def result(self) -> Result:
        """The times and the books, with the cycles of waiting put to their causes."""
        stalled = [[0 for _ in CAUSES] for _ in self.columns]
        for j in self.jobs:
            for s in self.columns:
                if self.waited[j][s]:
                    stalled[s][CAUSES.index(self.cause[j][s])] += self.waited[j][s]
                if self.held[j][s]:
                    stalled[s][CAUSES.index(self.hold_cause(j, s))] += self.held[j][s]
        memory, cycles = self.memory, max(end for row in self.end for end in row)
        if memory is not None:
            memory.run_to(memory.first_clock(cycles))
        return Result(
            start=self.start,
            free=self.free,
            end=self.end,
            lane=self.lane,
            cycles=cycles,
            busy=self.busy_cycles,
            stalled=stalled,
            idle=self.idle_cycles,
            traffic={} if memory is None else memory.counts(cycles),
        )

    def deadlock(self) -> Deadlock:
        """The lowest job that has not ended, its first stage that has not ended, and why."""
        j, s = next((j, s) for j in self.jobs for s in self.columns if self.end[j][s] is None)
        if self.start[j][s] is not None:
            cause = "memory" if self.upstream_ended(j, s) else "upstream"
        elif self.lane[j] is None:
            cause = "lane"
        elif not self.order_holds(j, s):
            cause = "order"
        else:
            cause = self.wait_cause(j, s)
        return Deadlock(j, self.stages[s].name, cause)
