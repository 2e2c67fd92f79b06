"""A channel's state without its place in time and address: described and set again; compiled.

Two states with equal descriptions go on alike, clock for clock and burst for burst, if the requests that
come are alike. What can no longer matter (a clock that is over) is left out of a description. `c` is the
channel (`banks`), `steps` how far its addresses are moved (`turns`).
"""

from __future__ import annotations

from accelsim.compiled import inlined, kernel
from accelsim.dram.banks import (
    ACTIVE_ARRIVED,
    ACTIVE_COLUMN,
    ACTIVE_COUNTED,
    ACTIVE_DUE,
    ACTIVE_LIST,
    ACTIVE_OWNER,
    ACTIVE_WRITE,
    ACTIVES,
    BANK_BITS,
    BANK_MASK,
    BEST_COLUMN,
    BEST_ROW,
    CLOSING,
    COLUMN_BUS,
    COLUMN_KEY,
    COLUMN_SLOT,
    DUE_ACTIVATE,
    DUE_PRECHARGE,
    DUE_READ,
    DUE_WRITE,
    FAR,
    FIRST,
    FREE,
    HEAD,
    IDLE_FROM,
    LAST,
    LAST_DONE,
    NEXT,
    NEXT_BANK,
    NEXT_ORDER,
    NEXT_REFRESH,
    NO_GAP,
    NONE,
    OPEN_BANKS,
    OPEN_ROW,
    OPEN_SINCE,
    PINS_FREE,
    PRECHARGE_FREE,
    READ,
    RECENT,
    REFRESH_DUE,
    REFRESHED,
    REFRESHING,
    ROW_BUS,
    ROW_KEY,
    ROW_SLOT,
    SINCE,
    SIZE,
    SLOT_AFTER,
    SLOT_ARRIVED,
    SLOT_COLUMN,
    SLOT_COUNTED,
    SLOT_ORDER,
    SLOT_ROW,
    SLOTS,
    TAIL,
    WAITING,
    WRITE,
    WRITING,
    Banks,
    Integers,
)
from accelsim.dram.controller import clock_of
from accelsim.dram.queue import place_of, renumber
from accelsim.dram.timing import MOST_BANKS, MOST_UNITS
from accelsim.dram.turns import Turns, moved


@kernel
def describe(m: Banks, turns: Turns, c: Integers, clock: int, steps: int, out: Integers) -> int:
    """Write a channel's description, relative to `clock` and `steps`; gives its length, or 0 for none.

    What was kept for speed is forgotten, and ages are counted from 0: neither changes what the channel does.
    There is none while a refresh is in progress.
    """
    if c[REFRESHING] >= 0:
        return 0
    renumber(c, READ)
    renumber(c, WRITE)
    c[ACTIVE_DUE] = c[BEST_COLUMN] = c[BEST_ROW] = c[HEAD] = c[TAIL] = c[NEXT] = 0
    over = clock_of(c)
    length: int = _describe_channel(turns, c, clock, steps, out)
    for unit in range(m.shape.units):
        length = _describe_unit(m, c, clock, unit, over, out, length)
    for place in range(m.shape.banks):
        bank, rows = moved(turns, place, steps)
        length = _describe_bank(c, clock, bank, rows, over, out, length)
        for write in range(2):
            length = _describe_queue(c, clock, write, bank, rows, out, length)
    return length


@inlined
def _describe_channel(turns, c, clock, steps, out):
    out[0], out[1], out[2] = c[COLUMN_BUS] - clock, c[ROW_BUS] - clock, c[WRITING]
    out[3], out[4], out[5] = c[NEXT_REFRESH] - clock, c[NEXT_BANK], c[LAST_DONE] - clock
    length = 6
    for i in range(c[ACTIVES]):
        out[length] = moved(turns, c[ACTIVE_LIST + i] & BANK_MASK, -steps)[0]
        length += 1
    return length


@inlined
def _describe_unit(m, c, clock, unit, over, out, length):
    """A rank or pseudo-channel, and the pins of that number."""
    for i in range(4):
        # An activate that is tFAW ago holds back nothing.
        out[length + i] = max(c[RECENT + 4 * unit + i], over - m.gaps.four_activates) - clock
    out[length + 4] = max(c[REFRESH_DUE + unit], over) - clock
    out[length + 5] = max(c[PRECHARGE_FREE + unit], over) - clock
    out[length + 6] = c[OPEN_BANKS + unit]
    out[length + 7] = c[OPEN_SINCE + unit] - clock if c[OPEN_BANKS + unit] > 0 else NO_GAP
    # Lost clocks begin at the later of PINS_FREE and SINCE + latency (`books.end_wait`); who begins to wait
    # from now on does so in `clock` at the earliest.
    waiting, free, ended = c[WAITING + unit], c[PINS_FREE + unit], c[REFRESHED + unit]
    latency = max(m.gaps.read_done, m.gaps.write_done)
    since = c[SINCE + unit] if waiting > 0 else min(over, clock)
    out[length + 8] = waiting
    out[length + 9] = max(free, since) - clock
    out[length + 10] = since - clock if waiting > 0 and since + latency > free else NO_GAP
    out[length + 11] = ended - clock if ended > since and ended + latency > free else NO_GAP
    return length + 12


@inlined
def _describe_bank(c, clock, bank, rows, over, out, length):
    out[length] = c[OPEN_ROW + bank] - rows if c[OPEN_ROW + bank] >= 0 else NO_GAP
    out[length + 1] = _ahead(c[DUE_READ + bank], over, clock)
    out[length + 2] = _ahead(c[DUE_WRITE + bank], over, clock)
    out[length + 3] = _ahead(c[DUE_ACTIVATE + bank], over, clock)
    out[length + 4] = _ahead(c[DUE_PRECHARGE + bank], over, clock)
    out[length + 5] = _ahead(c[CLOSING + bank], over, clock)
    out[length + 6] = _ahead(c[IDLE_FROM + bank], over, clock)
    out[length + 7] = c[ACTIVE_WRITE + bank]
    if c[ACTIVE_WRITE + bank] < 0:
        return length + 8
    out[length + 8] = c[ACTIVE_COLUMN + bank]
    out[length + 9] = c[ACTIVE_ARRIVED + bank] - clock
    out[length + 10] = c[ACTIVE_COUNTED + bank]
    return length + 11


@inlined
def _describe_queue(c, clock, write, bank, rows, out, length):
    """The bank's waiting requests after their number; ages are unique in a queue."""
    slot, count, begin = c[FIRST + place_of(write, bank)], 0, length
    length += 1
    while slot > 0:
        out[length] = c[slot + SLOT_ROW] - rows
        out[length + 1] = c[slot + SLOT_COLUMN]
        out[length + 2] = c[slot + SLOT_ARRIVED] - clock
        out[length + 3] = c[slot + SLOT_ORDER]
        out[length + 4] = c[slot + SLOT_COUNTED]
        slot = c[slot + SLOT_AFTER]
        length += 5
        count += 1
    out[begin] = count
    return length


@inlined
def _ahead(due, over, clock):
    """Clocks to a due clock; one that is over is as good as any other."""
    return due if due >= FAR else max(due, over) - clock


@kernel
def restore(m: Banks, turns: Turns, kept: Integers, c: Integers, clocks: int, steps: int) -> None:
    """Set a channel to a state that it was in, so many clocks later and steps further; not its counts."""
    for place in (WRITING, REFRESHING, NEXT_BANK, ACTIVES):
        c[place] = kept[place]
    for place in (COLUMN_BUS, ROW_BUS, NEXT_REFRESH, LAST_DONE):
        c[place] = kept[place] + clocks
    for place in (ACTIVE_DUE, BEST_COLUMN, BEST_ROW, HEAD, TAIL, NEXT):
        c[place] = 0
    for write in range(2):
        for place in (SIZE, NEXT_ORDER, FREE):
            c[place + write] = kept[place + write]
    for unit in range(MOST_UNITS):
        for place in (OPEN_BANKS, WAITING):
            c[place + unit] = kept[place + unit]
        for place in (REFRESH_DUE, PRECHARGE_FREE, OPEN_SINCE, SINCE, PINS_FREE, REFRESHED):
            c[place + unit] = kept[place + unit] + clocks
        for i in range(4):
            c[RECENT + 4 * unit + i] = kept[RECENT + 4 * unit + i] + clocks
    for i in range(SLOTS, c.shape[0]):
        c[i] = kept[i]
    for i in range(c[ACTIVES]):
        c[ACTIVE_LIST + i] = moved(turns, kept[ACTIVE_LIST + i] & BANK_MASK, steps)[0]
    for bank in range(m.shape.banks):
        goal, rows = moved(turns, bank, steps)
        _restore_bank(kept, c, bank, goal, rows, clocks)
        for write in range(2):
            _restore_queue(kept, c, write, bank, goal, rows, clocks)


@inlined
def _restore_bank(kept, c, bank, goal, rows, clocks):
    c[OPEN_ROW + goal] = kept[OPEN_ROW + bank] + rows if kept[OPEN_ROW + bank] >= 0 else -1
    for place in (ACTIVE_WRITE, ACTIVE_COLUMN, ACTIVE_OWNER, ACTIVE_COUNTED):
        c[place + goal] = kept[place + bank]
    for place in (DUE_READ, DUE_WRITE, DUE_ACTIVATE, DUE_PRECHARGE, CLOSING, IDLE_FROM, ACTIVE_ARRIVED):
        due = kept[place + bank]
        c[place + goal] = due if due >= FAR else due + clocks


@inlined
def _restore_queue(kept, c, write, bank, goal, rows, clocks):
    """The slots are in their places already, with their old rows and clocks."""
    before, after = MOST_BANKS * write + bank, MOST_BANKS * write + goal
    for place in (FIRST, LAST, COLUMN_SLOT, ROW_SLOT):
        c[place + after] = kept[place + before]
    for place in (COLUMN_KEY, ROW_KEY):
        key = kept[place + before]
        c[place + after] = key if key == NONE else key >> BANK_BITS << BANK_BITS | goal
    slot = kept[FIRST + before]
    while slot > 0:
        c[slot + SLOT_ROW] += rows
        c[slot + SLOT_ARRIVED] += clocks
        slot = c[slot + SLOT_AFTER]
