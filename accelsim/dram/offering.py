"""Requests offered to a memory as fast as it takes them, compiled."""

from __future__ import annotations

from accelsim.compiled import kernel
from accelsim.dram.banks import (
    ACTIVES,
    CLOCK,
    FAR,
    HEAD,
    LOGGED,
    READ,
    SIZE,
    TAIL,
    USED,
    WRITE,
    Banks,
    Integers,
)
from accelsim.dram.controller import clock_of, has_room, is_written, step, take
from accelsim.dram.mapping import CHANNEL, decode, field, spread


@kernel
def offer(
    m: Banks, lines: Integers, writes: Integers, earliest: Integers, begin: int, end: int, until: int
) -> int:
    """Offer requests `begin` to `end` in order; gives the number of the first that is not done.

    Less than `end` if the log is full, or if clock `until` has come. So many are offered in a clock; one that
    its queue has no room for blocks all behind it, on every channel. A number beyond the last request means
    a channel: it is drained.
    """
    clock, used = m.run[CLOCK], m.run[USED]
    requests, done = lines.shape[0], begin
    for i in range(begin, end):
        if clock >= until:
            break
        write, bank, row, column, channel = 0, 0, 0, 0, i - requests
        if i < requests:
            write, line = writes[i], spread(m.cut, lines[i])
            channel = field(m.mapping, line, CHANNEL, 0)
            bank, row, column = decode(m, line)
            if used == m.shape.offers:
                clock, used = clock + 1, 0
            if earliest[i] > clock:
                clock, used = earliest[i], 0
        c = m.memory[channel]
        written = False
        # Channels are brought up to date when they are looked at. Where the queue is full, the next
        # command is sent, whenever that is, and the offer repeated in the clock after it.
        while True:
            over = clock_of(c) >= clock
            if i < requests:
                if over:
                    written = is_written(c, bank, row, column)
                    if written or has_room(m, c, write):
                        break
            elif c[SIZE + READ] + c[SIZE + WRITE] + c[ACTIVES] == 0:
                break
            if m.log.shape[0] > 0 and m.run[LOGGED] == m.log.shape[0]:
                m.run[CLOCK], m.run[USED] = clock, used
                return done
            sent = step(m, c, channel, FAR if over or i >= requests else clock)
            if over and i < requests:
                clock, used = sent + 1, 0
        if i < requests:
            # What has come back is of no interest here.
            c[HEAD] = c[TAIL]
            take(m, c, write, bank, row, column, -1, clock, written)
            used += 1
        done = i + 1
    m.run[CLOCK], m.run[USED] = clock, used
    return done
