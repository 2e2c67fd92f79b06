"""Requests offered to a memory as fast as it takes them, compiled."""

from __future__ import annotations

from accelsim.compiled import kernel
from accelsim.dram.banks import (
    ACTIVES,
    CLOCK,
    FAR,
    HEAD,
    LOGGED,
    SIZE,
    TAIL,
    USED,
    Banks,
    Integers,
)
from accelsim.dram.controller import clock_of, has_room, is_written, step, take
from accelsim.dram.mapping import BANK, CHANNEL, COLUMN, GROUP, RANK, ROW, field


@kernel
def offer(m: Banks, lines: Integers, writes: Integers, earliest: Integers, begin: int, end: int) -> int:
    """Offer requests `begin` to `end` in order; gives the number of the first that is not done.

    Less than `end` if the log is full. So many are offered in a clock; one that its queue has no room for
    blocks all behind it, on every channel. A number beyond the last request means a channel: it is drained.
    """
    shape = m.shape
    clock, used = m.run[CLOCK], m.run[USED]
    requests, done = lines.shape[0], begin
    for i in range(begin, end):
        line, write, bank, row, column, channel = 0, 0, 0, 0, 0, i - requests
        if i < requests:
            line, write = lines[i], writes[i]
            channel, column = field(m.mapping, line, CHANNEL, 0), field(m.mapping, line, COLUMN, 0)
            row, rank = field(m.mapping, line, ROW, 0), field(m.mapping, line, RANK, column)
            group = rank * shape.groups + field(m.mapping, line, GROUP, column)
            bank = group * shape.group_banks + field(m.mapping, line, BANK, column)
            if used == shape.offers:
                clock, used = clock + 1, 0
            if earliest[i] > clock:
                clock, used = earliest[i], 0
        written = False
        # Channels are brought up to date when they are looked at. Where the queue is full, the next
        # command is sent, whenever that is, and the offer repeated in the clock after it.
        while True:
            over = clock_of(m, channel) >= clock
            if i < requests:
                if over:
                    written = is_written(m, channel, bank, line)
                    if written or has_room(m, channel, write):
                        break
            elif (
                m.queues[2 * channel, SIZE] + m.queues[2 * channel + 1, SIZE] + m.channels[channel, ACTIVES]
                == 0
            ):
                break
            if m.log.shape[0] > 0 and m.run[LOGGED] == m.log.shape[0]:
                m.run[CLOCK], m.run[USED] = clock, used
                return done
            sent = step(m, channel, FAR if over or i >= requests else clock)
            if over and i < requests:
                clock, used = sent + 1, 0
        if i < requests:
            # What has come back is of no interest here.
            m.channels[channel, HEAD] = m.channels[channel, TAIL]
            take(m, channel, write, bank, row, column, line, -1, clock, written)
            used += 1
        done = i + 1
    m.run[CLOCK], m.run[USED] = clock, used
    return done
