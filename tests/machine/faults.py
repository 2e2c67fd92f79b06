"""The reference with one rule broken each: what the comparison with the engine must notice.

Each class overrides one rule of `reference*.py`; its docstring says what went wrong. `FAULTS` lists
them, with those of `memory_faults`. The rest of a faulty machine is the reference itself.
"""

from __future__ import annotations

from machine.memory_faults import MEMORIES, with_memory
from machine.reference import Machine


class StationsReversed(Machine):
    """Of equal stations the highest is granted."""

    def grant_rank(self, j, s):
        unit, priority, station = super().grant_rank(j, s)
        return (unit, priority, -station)


class UnitsReversed(Machine):
    """The highest unit number is granted first."""

    def grant_rank(self, j, s):
        unit, priority, station = super().grant_rank(j, s)
        return (-unit, priority, station)


class PriorityIgnored(Machine):
    """Stations of a unit are granted in station order."""

    def grant_rank(self, j, s):
        unit, _, station = super().grant_rank(j, s)
        return (unit, station)


class LaneSitesInBlocks(Machine):
    """Neighbouring lanes sit on one site."""

    def instance(self, scope, lane):
        return lane * self.sites // self.lanes if scope == "site" else super().instance(scope, lane)


class HighestLaneFirst(Machine):
    """The next group goes to the highest free lane."""

    def choose_lane(self, free):
        return max(free, default=None)


class LanesFilledTogether(Machine):
    """All free lanes are filled before anything moves again."""

    def fill_a_lane(self):
        filled = False
        while super().fill_a_lane():
            filled = True
        return filled


class GrantsBeforeLanes(Machine):
    """Shared units are granted before the lanes are filled."""

    def cycle(self):
        happened = False
        if self.memory is not None:
            self.memory.run_to(self.memory.first_clock(self.now))
        while self.moves() or self.grant() or self.fill_a_lane():
            happened = True
        self.send()
        return (self.memory is not None and self.memory.is_busy()) or happened


class SharedUnitsNotArbitrated(Machine):
    """Whoever is looked at first takes a shared unit."""

    def is_arbitrated(self, j, s):
        return False


class SkippedTakesNotArbitrated(Machine):
    """A skipped operation takes from a shared buffer without a grant."""

    def is_arbitrated(self, j, s):
        return not self.skip[j][s] and super().is_arbitrated(j, s)


class SharedBuffersNotArbitrated(Machine):
    """Only the number of stations at a unit makes it arbitrated."""

    def lanes_share(self, b, lane):
        return False


class SkippedNeedsUnit(Machine):
    """A skipped operation waits for the unit."""

    def unit_holds(self, j, s):
        return self.holder.get(self.unit(s, self.lane[j])) is None


class SkippedLeavesAtEnd(Machine):
    """The job behind a skipped operation waits for its end."""

    def order_holds(self, j, s):
        before = self.before(j)
        waits = before is not None and self.skip[before][s] and self.end[before][s] is None
        return super().order_holds(j, s) and not waits


class SkippedEndsAlone(Machine):
    """A skipped operation does not wait for the end of the stage before."""

    def could_end(self, j, s):
        if self.skip[j][s] and self.free[j][s] is not None and self.end[j][s] is None:
            return self.keeps_order(j, s)
        return super().could_end(j, s)


class SkippedDrains(Machine):
    """A skipped operation drains."""

    def could_end(self, j, s):
        return super().could_end(j, s) and self.drained(j, s)


class WholeIgnored(Machine):
    """No operation waits for the whole of the stage before."""

    def input_holds(self, j, s):
        keep, self.whole[j][s] = self.whole[j][s], False
        holds = super().input_holds(j, s)
        self.whole[j][s] = keep
        return holds


class LagOneLonger(Machine):
    """A lag is one cycle longer."""

    def lag_of(self, j, s):
        return super().lag_of(j, s) + 1


class LagIgnored(Machine):
    """There is no lag."""

    def lag_of(self, j, s):
        return 0


class InputFromLastBurst(Machine):
    """The next stage waits for all bursts."""

    def first_back(self, bursts):
        backs = [burst.back for burst in bursts]
        return None if None in backs or max(backs) > self.now else max(backs)


class InputFromFirstSent(Machine):
    """The next stage waits for the burst that was sent first, not for the first that is back."""

    def first_back(self, bursts):
        return super().first_back(bursts[:1])


class FreeBeforeUpstream(Machine):
    """A unit is released although the stage before has not ended."""

    def upstream_ended(self, j, s):
        return True

    def could_end(self, j, s):
        return super().could_end(j, s) and super().upstream_ended(j, s)


class FreeWhenBack(Machine):
    """A unit is held until all bursts are back."""

    def could_be_free(self, j, s):
        back = all(b.back is not None and b.back <= self.now for b in self.bursts[j][s] or [])
        return super().could_be_free(j, s) and back


class EndsOutOfOrder(Machine):
    """An operation ends before the job before it."""

    def keeps_order(self, j, s):
        return True


class DrainFromStart(Machine):
    """The drain runs beside the busy cycles."""

    def drained(self, j, s):
        return self.now >= self.start[j][s] + self.drain[j][s]


class GivenBackWhenFree(Machine):
    """Buffers are given back when the unit is free."""

    def do_free(self, j, s):
        super().do_free(j, s)
        self.give_back(j, s)

    def do_end(self, j, s):
        self.end[j][s] = self.now
        if self.skip[j][s]:
            self.give_back(j, s)


class SharedBuffersPrivate(Machine):
    """Every lane has a copy of every buffer."""

    def room(self, b, j):
        return (b, self.lane[j])


class BufferOneLess(Machine):
    """A buffer is never filled to the last place, unless one take needs all of it."""

    def buffer_holds(self, j, s):
        return super().buffer_holds(j, s) and all(
            self.take[j][b] == 0
            or self.used.get(self.room(b, j), 0) == 0
            or self.used[self.room(b, j)] + self.take[j][b] < self.buffers[b].capacity
            for b in self.taken_at(s)
        )


class AfterIgnored(Machine):
    """Nobody waits for other jobs."""

    def after_holds(self, j, s):
        return True


class AfterFree(Machine):
    """Others are waited for until they are free, not until they end."""

    def after_holds(self, j, s):
        return all(self.free[oj][os] is not None for (aj, a, oj, os) in self.afters if (aj, a) == (j, s))


class SentInOrderOfGrants(Machine):
    """Operations that start in one cycle queue as they were granted."""

    def send_rank(self, j, s):
        return 0


class OnePort(Machine):
    """All stages of a lane send through one port."""

    def port(self, s, lane):
        return lane


class CauseFromTheBack(Machine):
    """A wait is put to the last of the causes."""

    def wait_cause(self, j, s):
        if not self.unit_holds(j, s):
            return "unit"
        if not self.buffer_holds(j, s):
            return "buffer"
        return "input" if self.after_holds(j, s) else "after"


class UpstreamOverlooked(Machine):
    """Every held unit is put to memory."""

    def hold_cause(self, j, s):
        return "memory"


class IdleIsBusy(Machine):
    """A cycle in which a station has no job left counts as busy."""

    def keep_book(self, lane, s):
        before = self.idle_cycles[s]
        super().keep_book(lane, s)
        if self.on_lane[lane]:
            self.busy_cycles[s] += self.idle_cycles[s] - before
            self.idle_cycles[s] = before


FAULTS: list[type[Machine]] = [*Machine.__subclasses__(), *map(with_memory, MEMORIES)]
