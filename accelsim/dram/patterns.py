"""Regular requests, as in a run or a copy: every `period`-th is `step` bursts further; compiled."""

from __future__ import annotations

from accelsim.compiled import kernel
from accelsim.dram.banks import Integers

LONGEST_PERIOD = 64
TRIED = 4 * LONGEST_PERIOD


@kernel
def find_period(lines: Integers, writes: Integers, begin: int, end: int) -> int:
    """The shortest period in which the next requests are regular, or 0."""
    stop = begin + TRIED
    if stop > end:
        return 0
    for period in range(1, LONGEST_PERIOD + 1):
        i, step = begin + period, lines[begin + period] - lines[begin]
        while i < stop and lines[i] == lines[i - period] + step and writes[i] == writes[i - period]:
            i += 1
        if i == stop:
            return period
    return 0


@kernel
def regular_until(
    lines: Integers,
    writes: Integers,
    earliest: Integers,
    begin: int,
    end: int,
    period: int,
    step: int,
    clock: int,
) -> int:
    """The first request from `begin` on that breaks the pattern, or has to wait for a cycle after `clock`."""
    for i in range(begin, end):
        before = i - period
        if lines[i] != lines[before] + step or writes[i] != writes[before] or earliest[i] > clock:
            return i
    return end
