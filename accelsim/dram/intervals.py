"""What a memory's state leads to by regular requests: intervals that were simulated once, and their sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accelsim.dram.banks import HITS, LAST_DONE, LOST_TO_REFRESH, OPEN_CLOCKS, Integers

# Places of a channel that count what happened.
COUNTS = [*range(HITS, LAST_DONE), *range(OPEN_CLOCKS, LOST_TO_REFRESH + 1)]


@dataclass(eq=False)
class State:
    """A state that the memory was in, when `clock` had come and its addresses were at `steps`.

    `channels` has a row for each of those that the requests go to (their numbers: `asked`); `used` offers
    of its clock were made. `then`: what regular requests lead to, once it is known.
    """

    channels: Integers
    asked: Integers
    clock: int
    steps: int
    used: int
    then: Interval | None = None


@dataclass(frozen=True, eq=False)
class Interval:
    """From one state to the next: `counts` [channel, count]."""

    end: State
    requests: int
    clocks: int
    counts: Integers


@dataclass(frozen=True, eq=False)
class Passed:
    """The sum of intervals, and the state behind the last of them."""

    state: State
    requests: int
    clocks: int
    counts: Integers


def passed(state: State, most: int, shape: tuple[int, ...]) -> Passed:
    """Pass the intervals that are known, as far as `most` requests go; where they repeat, by multiplication.

    `shape`: that of the counts.
    """
    requests, clocks, counts = 0, 0, np.zeros(shape, np.int64)
    seen: dict[int, tuple[int, int, Integers]] = {}
    while (then := state.then) and requests + then.requests <= most:
        before = seen.pop(id(state), None)
        if before:
            cycles = (most - requests) // (requests - before[0])
            counts = counts + cycles * (counts - before[2])
            clocks += cycles * (clocks - before[1])
            requests += cycles * (requests - before[0])
            seen = {}
            continue
        seen[id(state)] = requests, clocks, counts
        requests, clocks, counts = requests + then.requests, clocks + then.clocks, counts + then.counts
        state = then.end
    return Passed(state, requests, clocks, counts)
