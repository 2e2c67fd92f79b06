"""The memory as the engine sees it: channels in clocks of their own, a cache in front of them or none.

The engine asks when a channel can act next, never when a burst will be done; what a command settles is told
when it is sent. `docs/engine.md`, Memory, has the two crossings between cycles and clocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from accelsim.compiled import inlined
from accelsim.dram.banks import (
    ACTIVES,
    BANK_MASK,
    FAR,
    HEAD,
    NEXT,
    READ,
    RETURN_CLOCK,
    RETURNS,
    SIZE,
    TAIL,
    WRITE,
    Banks,
    Integers,
    banks,
)
from accelsim.dram.cache import Cache, Slices, slices
from accelsim.dram.controller import has_room, is_written, take
from accelsim.dram.mapping import CHANNEL, decode, field, spread
from accelsim.dram.timing import Device

# Columns of `doors`, by channel: the first tick in which it may accept, whether it had no room when it was
# last asked, the clocks in which it refused what was on offer, and of an access that is being given to the
# controller the bursts so far and the row of the cache's `asked`.
OPEN, FULL, REFUSED, PUT, ASKING = range(5)

FINEST_CLOCK = 1 << 20
WIDEST_RATIO = 10_000


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A device, the clock of the machine before it, and a cache between them or None.

    Raises ValueError for a clock that is absurd for the device, and for a cache that does not fit it.
    """

    dram: Device
    clock_hz: float
    cache: Cache | None = None

    def __post_init__(self) -> None:
        clocks = self.dram.clock_hz / Fraction(self.clock_hz)
        if not Fraction(1, WIDEST_RATIO) <= clocks <= WIDEST_RATIO:
            raise ValueError(
                f"clock_hz must be within {WIDEST_RATIO} times the {float(self.dram.clock_hz):g} Hz of "
                f"{self.dram.device}, not {self.clock_hz:g}"
            )

    @property
    def clocks(self) -> Fraction:
        """Command clocks to a cycle, exact to 1 part in a million."""
        return (self.dram.clock_hz / Fraction(self.clock_hz)).limit_denominator(FINEST_CLOCK)

    @property
    def access_bytes(self) -> int:
        """What the engine asks for at once: a line of the cache, or a burst."""
        return self.cache.line_bytes if self.cache else self.dram.burst_bytes


class Seat(NamedTuple):
    """The state of a memory: `clocks` / `cycles` is the ratio of its clock to the machine's."""

    clocks: int
    cycles: int
    last_cycle: int
    outstanding: int
    soonest: int
    banks: Banks
    cache: Slices
    doors: Integers


def seat(memory: Memory, *, log_rows: int = 0) -> Seat:
    """An idle memory, all rows closed, the cache empty. `log_rows`: commands that are written down."""
    device, ratio = memory.dram, memory.clocks
    state, cache = banks(device, log_rows=log_rows), slices(memory.cache, device)
    return Seat(
        clocks=ratio.numerator,
        cycles=ratio.denominator,
        last_cycle=FAR // ratio.numerator * ratio.denominator,
        outstanding=device.outstanding,
        soonest=min(state.gaps.read_done, state.gaps.write_done),
        banks=state,
        cache=cache,
        doors=np.zeros((device.channels, 5), np.int64),
    )


def most_waiting(seat: Seat) -> int:
    """Most accesses of a channel that are accepted and not settled."""
    return seat.cache.pending or 2 * seat.banks.shape.depth + seat.banks.shape.banks


@inlined
def first_clock(seat, cycle):
    """The first clock that begins in this cycle or after."""
    if cycle >= seat.last_cycle:
        return FAR
    return (cycle * seat.clocks + seat.cycles - 1) // seat.cycles + 1


@inlined
def cycle_after(seat, clock):
    """The first cycle that begins when this clock is over: what happens in it is seen then."""
    return (clock * seat.cycles + seat.clocks - 1) // seat.clocks


@inlined
def is_over(seat, clock, cycle):
    """Is this clock over when that cycle begins?"""
    return clock * seat.cycles <= cycle * seat.clocks


@inlined
def cycle_of(seat, clock):
    """The last cycle whose first clock is not later."""
    return (clock - 1) * seat.cycles // seat.clocks


@inlined
def clock_of_tick(seat, tick):
    """The clock that a tick is in."""
    return (tick if seat.cache.ticks == 1 else tick // seat.cache.ticks) + 1


@inlined
def line_of(seat, address):
    """The number of the access that an address is in: of a burst, or of a line of the cache."""
    return address >> seat.cache.access_bits


@inlined
def channel_of(seat, line):
    """The channel of an access."""
    return field(seat.banks.mapping, spread(seat.banks.cut, line * seat.cache.bursts), CHANNEL, 0)


@inlined
def is_idle(c):
    """Is nothing queued or active? Then only refreshes are left to send."""
    return c[SIZE + READ] + c[SIZE + WRITE] + c[ACTIVES] == 0


@inlined
def forget(seat, c, clock):
    """Bursts that were back before this clock."""
    head = c[HEAD]
    while head < c[TAIL] and (seat.outstanding == 0 or c[RETURN_CLOCK + (head & RETURNS - 1)] < clock):
        head += 1
    c[HEAD] = head


@inlined
def is_full(seat, c):
    """Are as many bursts of the channel accepted and not back as may be?"""
    flying = c[SIZE + READ] + c[SIZE + WRITE] + c[ACTIVES] + c[TAIL] - c[HEAD]
    return seat.outstanding > 0 and flying >= seat.outstanding


@inlined
def first_back(c):
    """The clock in which the first of the bursts under way is done, or FAR."""
    head = c[HEAD]
    return c[RETURN_CLOCK + (head & RETURNS - 1)] if head < c[TAIL] else FAR


@inlined
def put(seat, burst, c, write, owner, clock):
    """Give a burst (its number) to the channel's controller in this clock, if there is room: is it taken?"""
    m = seat.banks
    bank, row, column = decode(m, spread(m.cut, burst))
    bank &= BANK_MASK
    written = is_written(c, bank, row, column)
    if not (written or has_room(m, c, write)):
        return False
    take(m, c, write, bank, row, column, owner, clock, written)
    c[NEXT] = 0
    return True


@inlined
def has_room_for(seat, c, write, bursts):
    """Has the queue of reads or of writes room for so many more?"""
    return c[SIZE + (write & 1)] + bursts <= seat.banks.shape.depth
