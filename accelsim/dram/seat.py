"""The four verbs of a memory's seat in the engine, at bank level and in the memory's own clocks.

A channel is moved command by command: `next_return` says when something happens next, never when a request
will be done. `accept` in a clock comes after all that happened before it and before that clock's commands.
"""

from __future__ import annotations

from accelsim.compiled import inlined
from accelsim.dram.banks import ACTIVES, HEAD, RETURNS, SIZE, TAIL
from accelsim.dram.controller import clock_of, has_room, is_written, step, take
from accelsim.dram.mapping import BANK, CHANNEL, COLUMN, GROUP, RANK, ROW, field

NOTHING = -1


@inlined
def channel_of(m, line):
    """The channel of a burst."""
    return field(m.mapping, line, CHANNEL, 0)


@inlined
def advance(m, channel, clock):
    """Send every command that is due before `clock`."""
    while clock_of(m, channel) < clock:
        step(m, channel, clock)


@inlined
def accept(m, line, write, owner, clock):
    """Take a burst in this clock, if there is room for it: is it taken?"""
    channel, column = field(m.mapping, line, CHANNEL, 0), field(m.mapping, line, COLUMN, 0)
    row, rank = field(m.mapping, line, ROW, 0), field(m.mapping, line, RANK, column)
    group = rank * m.shape.groups + field(m.mapping, line, GROUP, column)
    bank = group * m.shape.group_banks + field(m.mapping, line, BANK, column)
    written = is_written(m, channel, bank, line)
    pending = m.channels[channel, TAIL] - m.channels[channel, HEAD]
    if pending < RETURNS // 2 and (written or has_room(m, channel, write)):
        take(m, channel, write, bank, row, column, line, owner, clock, written)
        return True
    return False


@inlined
def next_return(m, channel, never):
    """The clock in which a burst is back, or `never` if none is on its way: others may come before it."""
    head = m.channels[channel, HEAD]
    if head < m.channels[channel, TAIL]:
        return m.returns[channel * RETURNS + (head & RETURNS - 1), 0]
    return never


@inlined
def take_return(m, channel):
    """Give back the burst that was due first: its owner."""
    head = m.channels[channel, HEAD]
    m.channels[channel, HEAD] = head + 1
    return m.returns[channel * RETURNS + (head & RETURNS - 1), 1]


@inlined
def is_idle(m, channel):
    """Is nothing queued or active? Then only refreshes are left to send."""
    queued = m.queues[2 * channel, SIZE] + m.queues[2 * channel + 1, SIZE]
    return queued + m.channels[channel, ACTIVES] == 0
