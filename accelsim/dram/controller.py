"""First-ready, first-come-first-served control of banks, compiled; a step is a command, never a clock.

Of the commands that may be sent in a clock, that of the oldest request is sent: a ready precharge for an
older request goes before a younger row hit. A request whose row was opened for it leaves the queue for its
bank's place in the active list, which goes first. `c` is the channel (`banks`). Rules: `docs/dram.md`.
"""

from __future__ import annotations

from accelsim.compiled import inlined
from accelsim.dram.banks import (
    ACTIVE_BANK,
    ACTIVE_DUE,
    ACTIVE_LIST,
    ACTIVE_WRITE,
    ACTIVES,
    BANK_MASK,
    BEST_COLUMN,
    BEST_ROW,
    COLUMN_BUS,
    COLUMN_KEY,
    DUE_ACTIVATE,
    DUE_PRECHARGE,
    DUE_READ,
    FAR,
    FORWARDED,
    IDLE_FROM,
    KEY_BITS,
    NEVER,
    NEXT,
    NEXT_BANK,
    NEXT_REFRESH,
    NONE,
    OPEN_ROW,
    READ,
    READS,
    REFRESH_DUE,
    REFRESHING,
    ROW_BUS,
    ROW_KEY,
    SIZE,
    WRITE,
    WRITING,
)
from accelsim.dram.books import begin_wait, bus_of
from accelsim.dram.commands import (
    choose_mode,
    give_back,
    hear_of,
    in_turn,
    send_column,
    send_precharge,
    send_refresh,
    send_row,
)
from accelsim.dram.queue import append, no_next, place_of, waits
from accelsim.dram.timing import MOST_BANKS, UNIT_MASK


@inlined
def clock_of(c):
    """The first clock that is not over."""
    return min(c[COLUMN_BUS], c[ROW_BUS])


@inlined
def has_room(m, c, write):
    """Has the queue of reads or of writes room for one more?"""
    return c[SIZE + (write & 1)] < m.shape.depth


@inlined
def is_written(c, bank, row, column):
    """Does a write of this burst wait? Then a read is answered from it, and another write replaces it."""
    return c[SIZE + WRITE] > 0 and waits(c, WRITE, bank, row, column)


@inlined
def take(m, c, write, bank, row, column, owner, clock, written):
    """Accept a request in this clock, before its commands are chosen; all clocks before it are over."""
    c[READS + (write & 1)] += 1
    if written:
        c[FORWARDED + (write & 1)] += 1
        give_back(c, clock, clock + 1, owner, write)
    else:
        begin_wait(c, bus_of(m, bank >> m.shape.unit_bits & UNIT_MASK), clock)
        append(c, write, bank, row, column, owner, clock, m.shape.per_bank and c[REFRESHING] == bank)
        if c[WRITING] == write:
            hear_of(c, bank)


@inlined
def step(m, c, channel, until):
    """Send the next command of a channel, if it is due before `until`. Gives its clock, else a later one."""
    clock = clock_of(c)
    if clock >= until:
        return until
    if c[REFRESHING] < 0 and clock >= c[NEXT_REFRESH]:
        _begin_refresh(m, c)
    if c[ACTIVE_DUE] < c[COLUMN_BUS]:
        _find_active(c)
    due, limit, refresh_due, idle_key = c[ACTIVE_DUE], until, FAR, NONE
    column_key, row_key = NONE, NONE
    if c[REFRESHING] >= 0:
        refresh_due = _refresh_due(m, c)
    else:
        limit = min(until, c[NEXT_REFRESH])
    if c[REFRESHING] < 0 or m.shape.per_bank:
        if due > clock:
            choose_mode(m, c)
        if c[BEST_COLUMN] >> KEY_BITS < c[COLUMN_BUS]:
            c[BEST_COLUMN] = _earliest_column(m, c)
        if c[BEST_ROW] >> KEY_BITS < c[ROW_BUS]:
            c[BEST_ROW] = _earliest_row(m, c)
        column_key, row_key = c[BEST_COLUMN], c[BEST_ROW]
        if m.shape.closes:
            idle_key = _earliest_idle(m, c)
    column_due, row_due = column_key >> KEY_BITS, min(row_key, idle_key) >> KEY_BITS
    first = min(min(due, refresh_due), min(column_due, row_due))
    if first >= limit:
        c[NEXT] = min(first, c[NEXT_REFRESH])
        c[COLUMN_BUS] = max(c[COLUMN_BUS], limit)
        c[ROW_BUS] = max(c[ROW_BUS], limit)
    elif due == first:
        send_column(m, c, channel, first, c[ACTIVE_BANK], True)
    elif column_due == first and (
        m.shape.two_buses or (refresh_due > first and (row_due > first or column_key < row_key))
    ):
        send_column(m, c, channel, first, column_key & BANK_MASK, False)
    elif refresh_due == first:
        send_refresh(m, c, channel, first)
    elif row_key >> KEY_BITS == first:
        send_row(m, c, channel, first, row_key & BANK_MASK)
    else:
        send_precharge(m, c, channel, first, idle_key & BANK_MASK)
    return min(first, limit)


@inlined
def _find_active(c):
    """The active request that is ready first; among equals, the one that arrived first."""
    best, best_bank, now = FAR, 0, c[COLUMN_BUS]
    for i in range(c[ACTIVES]):
        bank = c[ACTIVE_LIST + i] & BANK_MASK
        due = max(now, c[DUE_READ + place_of(c[ACTIVE_WRITE + bank], bank)])
        if due < best:
            best, best_bank = due, bank
    c[ACTIVE_DUE], c[ACTIVE_BANK] = best, best_bank


@inlined
def _earliest_column(m, c):
    """Key of the column command that goes first."""
    best, now = NEVER, c[COLUMN_BUS]
    queue = MOST_BANKS * (c[WRITING] & 1)
    for bank in range(m.shape.padded_banks):
        due = max(now, c[DUE_READ + queue + bank])
        best = min(best, (due << KEY_BITS) + c[COLUMN_KEY + queue + bank])
    return best


@inlined
def _earliest_row(m, c):
    """Key of the precharge or activate that goes first."""
    best, now, queue = NEVER, c[ROW_BUS], MOST_BANKS * (c[WRITING] & 1)
    for bank in range(m.shape.padded_banks):
        close, opens = c[DUE_PRECHARGE + bank], c[DUE_ACTIVATE + bank]
        due = max(now, close if c[OPEN_ROW + bank] >= 0 else opens)
        best = min(best, (due << KEY_BITS) + c[ROW_KEY + queue + bank])
    return best


@inlined
def _earliest_idle(m, c):
    """Key of the bank that is closed first because nothing queued wants its row."""
    best, now = NONE, c[ROW_BUS]
    for bank in range(m.shape.banks):
        reads, writes = c[COLUMN_KEY + bank], c[COLUMN_KEY + MOST_BANKS + bank]
        if c[OPEN_ROW + bank] >= 0 and reads == NONE and writes == NONE:
            due = max(now, max(c[DUE_PRECHARGE + bank], c[IDLE_FROM + bank]))
            best = min(best, due << KEY_BITS | bank)
    return best


@inlined
def _begin_refresh(m, c):
    """A refresh is due: of all ranks in turn, or of one bank, of which nothing else is asked until then."""
    c[NEXT_REFRESH] += m.gaps.refresh_interval
    c[REFRESHING] = 0
    if m.shape.per_bank:
        bank = c[NEXT_BANK] & BANK_MASK
        c[REFRESHING] = bank
        c[NEXT_BANK] = bank + 1 if bank + 1 < m.shape.banks else 0
        no_next(c, READ, bank)
        no_next(c, WRITE, bank)
        c[BEST_COLUMN] = c[BEST_ROW] = 0


@inlined
def _refresh_due(m, c):
    """Clock of the command that the rank or bank in turn needs next: a precharge, or the refresh."""
    begin, end = in_turn(m, c)
    close = -1
    for bank in range(begin, end):
        if c[OPEN_ROW + bank] >= 0:
            close = max(close, c[DUE_PRECHARGE + bank])
    if close >= 0:
        return max(c[ROW_BUS], close)
    due = c[REFRESH_DUE + (begin >> m.shape.unit_bits & UNIT_MASK)]
    if m.shape.per_bank:
        # To the other banks it is what an activate is.
        late = m.shape.activate_clocks - m.shape.refresh_clocks
        due = max(due, c[DUE_ACTIVATE + begin] + late)
    return max(c[ROW_BUS], due)
