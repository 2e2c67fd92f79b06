"""Regular requests advanced in closed form where the state of the memory repeats, exact to the clock.

Once in a refresh interval the memory's state is described without its place in time and address
(`snapshots`). What a described state leads to, by regular requests (`patterns`), until the next description
is simulated once and kept: requests, clocks, counts and the state then. From there on such intervals are
added up (`intervals`), and the last state is moved to where it belongs. `docs/dram.md`, Repeats.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accelsim.dram import banks as b
from accelsim.dram.intervals import COUNTS, Interval, Passed, State, passed
from accelsim.dram.offering import offer
from accelsim.dram.patterns import LONGEST_PERIOD, find_period, regular_until
from accelsim.dram.snapshots import describe, restore
from accelsim.dram.timing import Device
from accelsim.dram.trace import Chunk, joined
from accelsim.dram.turns import turns

SHORTEST = 4096  # regular requests that are worth a look
BLOCK = 4096  # other requests between two looks
MOST_BYTES = 1 << 26  # of states that are kept; beyond, all are learnt anew


@dataclass(frozen=True, eq=False)
class Begun:
    """Where the interval that is being simulated began: its state, and what was counted until then."""

    state: State
    requests: int
    clock: int
    counts: b.Integers
    asked: b.Integers


class Repeats:
    """Offers requests to a memory, and simulates as few of the regular ones as it can.

    `advanced` counts those that were not simulated.
    """

    def __init__(self, device: Device, memory: b.Banks) -> None:
        self.advanced = 0
        self._memory, self._turns = memory, turns(device)
        shape = memory.shape
        self._room = np.zeros(256 + shape.banks * 16 + 2 * shape.depth * 5, np.int64)
        self._row = np.zeros(memory.memory.shape[1], np.int64)
        self._every = memory.gaps.refresh_interval * (shape.banks if shape.per_bank else 1)
        self._states: dict[bytes, State] = {}
        self._period = self._step = 0
        self._unasked = self._asked()  # by channel, requests before the regular ones
        self._begun: Begun | None = None
        self._requests = 0
        nothing = np.zeros(0, np.int64)
        # The last requests that were offered, then those that wait for more of their kind.
        self._waiting = Chunk(lines=nothing, writes=nothing, earliest=nothing)
        self._offered = 0
        self._waits = False

    def offer(self, chunk: Chunk, *, more: bool) -> None:
        """Offer the requests in order. With `more` to come, the last of the regular ones may wait for it."""
        self._waiting = joined(self._waiting, chunk)
        at, end = self._offered, len(self._waiting.lines)
        while at < end:
            stop = self._regular_until(at, end)
            if stop == at:
                at = self._simulate(at, min(at + BLOCK, end), b.FAR)
                continue
            at = self._run(at, stop, more=more and stop == end)
            if self._waits:
                break
        first = max(at - LONGEST_PERIOD, 0)
        self._offered = at - first
        self._waiting = Chunk(
            lines=self._waiting.lines[first:].copy(),
            writes=self._waiting.writes[first:].copy(),
            earliest=self._waiting.earliest[first:].copy(),
        )

    def _regular_until(self, at: int, end: int) -> int:
        """Where the regular requests end that begin, or go on, at this one; itself if it is none of them."""
        chunk, clock = self._waiting, self._clock()
        rest = chunk.lines, chunk.writes, chunk.earliest
        if self._period:
            stop = regular_until(*rest, at, end, self._period, self._step, clock)
            if stop > at:
                return stop
        self._begun, self._waits, self._period = None, False, 0
        period = find_period(chunk.lines, chunk.writes, at, end) if self._turns else 0
        if period == 0 or chunk.earliest[at : at + period].max() > clock:
            return at
        step = int(chunk.lines[at + period] - chunk.lines[at])
        stop = regular_until(*rest, at + period, end, period, step, clock)
        if stop - at < SHORTEST:
            return at
        self._period, self._step, self._unasked = period, step, self._asked()
        return stop

    def _run(self, at: int, stop: int, *, more: bool) -> int:
        """Offer regular requests until `stop`; gives the first that is not offered, because it waits."""
        while True:
            if not self._waits:
                at = self._simulate(at, stop, self._next_look())
            self._waits = False
            if at + self._period > stop:
                return self._simulate(at, stop, b.FAR)
            state = self._look(at)
            self._learn(state)
            if state is None:
                continue
            jump = passed(state, stop - at, self._counts().shape)
            if jump.requests:
                self._land(jump, at)
                at += jump.requests
            if more and jump.state.then:
                self._waits = True
                return at
            self._begun = Begun(jump.state, self._requests, self._clock(), self._counts(), self._asked())

    def _simulate(self, begin: int, end: int, until: int) -> int:
        chunk = self._waiting
        done = offer(self._memory, chunk.lines, chunk.writes, chunk.earliest, begin, end, until)
        self._requests += done - begin
        return done

    def _next_look(self) -> int:
        """A clock in each refresh interval, long enough after its begin for the refresh to be over."""
        after = (self._every + self._memory.gaps.refresh_done) // 2
        return (self._clock() - after) // self._every * self._every + self._every + after

    def _look(self, at: int) -> State | None:
        """The memory's state, met before or new; None while one of its channels is being refreshed."""
        assert self._turns is not None
        m, clock, used = self._memory, self._clock(), int(self._memory.run[b.USED])
        lines, writes = (
            every[at : at + self._period] for every in (self._waiting.lines, self._waiting.writes)
        )
        steps, is_asked = int(lines[0]) // self._turns.bursts, self._asked() != self._unasked
        head = np.array([self._period, self._step, clock % self._every, used], np.int64)
        parts = [head, lines - steps * self._turns.bursts, writes, is_asked]
        for channel in np.flatnonzero(is_asked):
            length = describe(m, self._turns, m.memory[channel], clock, steps, self._room)
            if length == 0:
                return None
            parts.append(self._room[:length].copy())
        key = b"".join(part.tobytes() for part in parts)
        if key not in self._states:
            rows = m.memory[is_asked]
            # All but what is to be given back: nobody asks for it here.
            channels = np.concatenate([rows[:, : b.RETURN_CLOCK], rows[:, b.SLOTS :]], axis=1)
            if (len(self._states) + 1) * (channels.nbytes + len(key)) > MOST_BYTES:
                self._states, self._begun = {}, None
            self._states[key] = State(channels, np.flatnonzero(is_asked), clock, steps, used)
        return self._states[key]

    def _learn(self, state: State | None) -> None:
        """The interval that was simulated last leads to this state."""
        begun, self._begun = self._begun, None
        if begun is None or state is None or begun.state.then:
            return
        if np.isin(np.flatnonzero(self._asked() != begun.asked), begun.state.asked).all():
            begun.state.then = Interval(
                end=state,
                requests=self._requests - begun.requests,
                clocks=self._clock() - begun.clock,
                counts=self._counts() - begun.counts,
            )

    def _land(self, jump: Passed, at: int) -> None:
        """Set the memory to what it is after the intervals over the requests from `at` on."""
        assert self._turns is not None
        m, state, clock = self._memory, jump.state, self._clock() + jump.clocks
        periods, rest = divmod(jump.requests, self._period)
        line = int(self._waiting.lines[at + rest]) + periods * self._step
        steps = line // self._turns.bursts - state.steps
        for kept, channel in zip(state.channels, state.asked, strict=True):
            self._row[: b.RETURN_CLOCK], self._row[b.SLOTS :] = np.split(kept, [b.RETURN_CLOCK])
            restore(m, self._turns, self._row, m.memory[channel], clock - state.clock, steps)
        m.memory[:, COUNTS] += jump.counts
        m.run[b.CLOCK], m.run[b.USED] = clock, state.used
        self._requests += jump.requests
        self.advanced += jump.requests

    def _clock(self) -> int:
        return int(self._memory.run[b.CLOCK])

    def _asked(self) -> b.Integers:
        """Requests of each channel so far."""
        return self._memory.memory[:, b.READS] + self._memory.memory[:, b.WRITES]

    def _counts(self) -> b.Integers:
        return self._memory.memory[:, COUNTS]
