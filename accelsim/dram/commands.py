"""What each command does to a channel: rows, earliest clocks, queues, buses and the counts; compiled.

`accelsim.dram.controller` says which is sent and when. `c` is the channel (`banks`). What goes first is kept
in the channel, so each command here says which of the kept keys no longer hold.
"""

from __future__ import annotations

from accelsim.compiled import inlined
from accelsim.dram.banks import (
    ACTIVATE,
    ACTIVATE_TO,
    ACTIVATES,
    ACTIVE_ARRIVED,
    ACTIVE_COLUMN,
    ACTIVE_COUNTED,
    ACTIVE_DUE,
    ACTIVE_LIST,
    ACTIVE_OWNER,
    ACTIVE_WRITE,
    ACTIVES,
    BANK_MASK,
    BEST_COLUMN,
    BEST_ROW,
    CLOSING,
    COLUMN_BUS,
    COLUMN_KEY,
    COLUMN_SLOT,
    CONFLICTS,
    DONE,
    DUE_ACTIVATE,
    DUE_PRECHARGE,
    DUE_READ,
    DUE_WRITE,
    FAR,
    FIRST,
    HEAD,
    HITS,
    IDLE_FROM,
    KEY_BITS,
    LAST_DONE,
    LATENCY,
    LOGGED,
    MISSES,
    NONE,
    OPEN_BANKS,
    OPEN_CLOCKS,
    OPEN_ROW,
    OPEN_SINCE,
    OWNER,
    PLACE_MASK,
    PRECHARGE,
    PRECHARGE_ALL,
    PRECHARGE_FREE,
    READ,
    READ_COMMAND,
    READ_TO,
    RECENT,
    REFRESH,
    REFRESH_BANK,
    REFRESH_DUE,
    REFRESHED,
    REFRESHES,
    REFRESHING,
    RETURN_CLOCK,
    RETURN_OWNER,
    RETURNS,
    ROW_BUS,
    ROW_KEY,
    ROW_SLOT,
    SIZE,
    SLOT_AFTER,
    SLOT_ARRIVED,
    SLOT_COLUMN,
    SLOT_COUNTED,
    SLOT_OWNER,
    SLOT_ROW,
    TAIL,
    WRITE,
    WRITE_TO,
    WRITING,
)
from accelsim.dram.books import CONFLICT, HIT, MISS, bus_of, end_wait
from accelsim.dram.queue import next_column, next_row, no_next, place_of, remove
from accelsim.dram.timing import UNIT_MASK


@inlined
def send_column(m, c, channel, clock, bank, is_active):
    """A read or write: of the bank's active request, or of one in the queue that finds its row open."""
    bank &= BANK_MASK
    if is_active:
        write, column = c[ACTIVE_WRITE + bank] & 1, c[ACTIVE_COLUMN + bank]
        arrived, owner, counted = c[ACTIVE_ARRIVED + bank], c[ACTIVE_OWNER + bank], c[ACTIVE_COUNTED + bank]
        _forget_active(c, bank)
    else:
        write = c[WRITING] & 1
        slot = c[COLUMN_SLOT + place_of(write, bank)] & PLACE_MASK
        column, after = c[slot + SLOT_COLUMN], c[slot + SLOT_AFTER]
        arrived, owner, counted = c[slot + SLOT_ARRIVED], c[slot + SLOT_OWNER], c[slot + SLOT_COUNTED]
        if counted == HIT:
            c[HITS] += 1
        remove(c, write, bank, slot)
        next_column(c, write, bank, after)
    unit = bank >> m.shape.unit_bits & UNIT_MASK
    _columns_wait(m, c, clock, bank, unit, WRITE_TO if write else READ_TO)
    close = m.gaps.write_precharge if write else m.gaps.read_precharge
    c[CLOSING + bank] = max(c[CLOSING + bank], clock + close)
    c[IDLE_FROM + bank] = clock + m.shape.idle_clocks
    if c[ACTIVE_WRITE + bank] < 0:
        c[DUE_PRECHARGE + bank] = max(c[CLOSING + bank], c[PRECHARGE_FREE + unit])
    done = clock + (m.gaps.write_done if write else m.gaps.read_done)
    end_wait(m, c, bus_of(m, unit), clock, done - clock - m.shape.burst_clocks, counted)
    log(m, clock, channel, READ_COMMAND + write, bank, column)
    give_back(c, arrived, done, owner, write)
    c[BEST_COLUMN] = 0
    c[ACTIVE_DUE] = 0 if c[ACTIVES] > 0 else FAR
    if c[BEST_ROW] & BANK_MASK == bank:
        c[BEST_ROW] = 0
    c[COLUMN_BUS] = clock + m.shape.column_clocks
    if m.shape.two_buses:
        # The row bus still has its turn in this clock, and its pick looks at the queues anew.
        c[ROW_BUS] = max(c[ROW_BUS], clock)
        if c[REFRESHING] < 0 or m.shape.per_bank:
            choose_mode(m, c)
    else:
        c[ROW_BUS] = c[COLUMN_BUS]
    hear_of(c, bank)


@inlined
def _forget_active(c, bank):
    """The bank's active request is served."""
    c[ACTIVE_WRITE + bank] = -1
    c[ACTIVES] -= 1
    found = False
    for i in range(c[ACTIVES]):
        found = found or c[ACTIVE_LIST + i] == bank
        if found:
            c[ACTIVE_LIST + i] = c[ACTIVE_LIST + i + 1]


@inlined
def _columns_wait(m, c, clock, bank, unit, kind):
    """What a read or write means for those of its group, its rank and the others."""
    first, count, group = 0, m.shape.banks, bank >> m.shape.group_bits
    if not m.shape.units_coupled:
        first, count = unit << m.shape.unit_bits & BANK_MASK, m.shape.unit_banks
    reads, writes = m.apart[kind, group], m.apart[kind + 1, group]
    for i in range(count):
        c[DUE_READ + first + i] = max(c[DUE_READ + first + i], clock + reads[first + i])
    for i in range(count):
        c[DUE_WRITE + first + i] = max(c[DUE_WRITE + first + i], clock + writes[first + i])


@inlined
def send_row(m, c, channel, clock, bank):
    """Open or close a bank for its oldest request to another row."""
    bank &= BANK_MASK
    slot, is_open = c[ROW_SLOT + place_of(c[WRITING], bank)] & PLACE_MASK, c[OPEN_ROW + bank] >= 0
    if c[slot + SLOT_COUNTED] == HIT:
        c[CONFLICTS if is_open else MISSES] += 1
        c[slot + SLOT_COUNTED] = CONFLICT if is_open else MISS
    if is_open:
        send_precharge(m, c, channel, clock, bank)
    else:
        _send_activate(m, c, channel, clock, bank, slot)


@inlined
def send_precharge(m, c, channel, clock, bank):
    """Close one bank."""
    bank &= BANK_MASK
    unit = bank >> m.shape.unit_bits & UNIT_MASK
    _close(m, c, clock, bank, unit)
    _precharges_wait(m, c, clock, unit, m.gaps.precharge_refresh)
    log(m, clock, channel, PRECHARGE, bank, 0)
    _row_sent(m, c, clock, bank, m.shape.precharge_clocks)


@inlined
def _send_activate(m, c, channel, clock, bank, slot):
    """Open the bank's row for a request, which becomes active."""
    bank, slot = bank & BANK_MASK, slot & PLACE_MASK
    unit, row = bank >> m.shape.unit_bits & UNIT_MASK, c[slot + SLOT_ROW]
    _make_active(c, bank, slot)
    _activates_wait(m, c, bank, unit, clock)
    c[DUE_ACTIVATE + bank] = max(c[DUE_ACTIVATE + bank], clock + m.gaps.activate_activate_bank)
    c[DUE_READ + bank] = max(c[DUE_READ + bank], clock + m.gaps.activate_read)
    c[DUE_WRITE + bank] = max(c[DUE_WRITE + bank], clock + m.gaps.activate_write)
    c[CLOSING + bank] = clock + m.gaps.activate_precharge
    c[DUE_PRECHARGE + bank] = FAR  # until the active request has had its column command
    if not m.shape.per_bank:
        c[REFRESH_DUE + unit] = max(c[REFRESH_DUE + unit], clock + m.gaps.activate_refresh)
    if c[OPEN_BANKS + unit] == 0:
        c[OPEN_SINCE + unit] = clock
    c[OPEN_BANKS + unit] += 1
    c[OPEN_ROW + bank] = row
    c[ACTIVATES] += 1
    for write in range(2):
        if c[SIZE + write] > 0:
            next_column(c, write, bank, c[FIRST + place_of(write, bank)])
            next_row(c, write, bank)
        else:
            no_next(c, write, bank)
    log(m, clock, channel, ACTIVATE, bank, row)
    _row_sent(m, c, clock, bank, m.shape.activate_clocks)
    c[ACTIVE_DUE] = 0
    hear_of(c, bank)


@inlined
def _make_active(c, bank, slot):
    """Move a request from the queue to its bank's place in the active list, which is ordered by arrival."""
    write, arrived = c[WRITING], c[slot + SLOT_ARRIVED]
    c[ACTIVE_WRITE + bank] = write
    c[ACTIVE_COLUMN + bank] = c[slot + SLOT_COLUMN]
    c[ACTIVE_OWNER + bank] = c[slot + SLOT_OWNER]
    c[ACTIVE_ARRIVED + bank] = arrived
    c[ACTIVE_COUNTED + bank] = c[slot + SLOT_COUNTED]
    i = ACTIVE_LIST + c[ACTIVES] & PLACE_MASK
    while i > ACTIVE_LIST and c[ACTIVE_ARRIVED + (c[i - 1] & BANK_MASK)] > arrived:
        c[i] = c[i - 1]
        i -= 1
    c[i] = bank
    c[ACTIVES] += 1
    remove(c, write, bank, slot)


@inlined
def _activates_wait(m, c, bank, unit, counted_at):
    """What an activate (or the refresh of a bank) means for the activates of its rank."""
    recent, first = RECENT + 4 * unit, unit << m.shape.unit_bits & BANK_MASK
    c[recent], c[recent + 1], c[recent + 2] = c[recent + 1], c[recent + 2], c[recent + 3]
    c[recent + 3] = counted_at
    apart, fifth = m.apart[ACTIVATE_TO, bank >> m.shape.group_bits], c[recent] + m.gaps.four_activates
    for i in range(m.shape.unit_banks):
        due = max(counted_at + apart[first + i], fifth)
        c[DUE_ACTIVATE + first + i] = max(c[DUE_ACTIVATE + first + i], due)


@inlined
def send_refresh(m, c, channel, clock):
    """The refresh in progress: close what is open, or refresh the rank or the bank in turn."""
    begin, end = in_turn(m, c)
    unit, is_open = begin >> m.shape.unit_bits & UNIT_MASK, False
    for bank in range(begin, end):
        is_open = is_open or c[OPEN_ROW + bank] >= 0
    if is_open:
        for bank in range(begin, end):
            if c[OPEN_ROW + bank] >= 0:
                _close(m, c, clock, bank, unit)
        _precharges_wait(m, c, clock, unit, m.gaps.precharge_all_refresh)
        log(m, clock, channel, PRECHARGE if m.shape.per_bank else PRECHARGE_ALL, begin, 0)
    elif m.shape.per_bank:
        _refresh_bank(m, c, clock, begin, unit)
        log(m, clock, channel, REFRESH_BANK, begin, 0)
    else:
        for bank in range(begin, end):
            c[DUE_ACTIVATE + bank] = max(c[DUE_ACTIVATE + bank], clock + m.gaps.refresh_activate)
        # Where a round was late, the next is due before this refresh is over.
        c[REFRESH_DUE + unit] = max(c[REFRESH_DUE + unit], clock + m.gaps.refresh_done)
        c[REFRESHED + bus_of(m, unit)] = clock + m.gaps.refresh_done
        c[REFRESHING] = unit + 1 if unit + 1 < m.shape.units else -1
        c[REFRESHES] += 1
        log(m, clock, channel, REFRESH, begin, 0)
    _row_sent(m, c, clock, begin, m.shape.precharge_clocks if is_open else m.shape.refresh_clocks)
    c[BEST_COLUMN] = 0


@inlined
def in_turn(m, c):
    """The banks that the refresh in progress is for."""
    if m.shape.per_bank:
        return c[REFRESHING], c[REFRESHING] + 1
    return c[REFRESHING] << m.shape.unit_bits, (c[REFRESHING] + 1) << m.shape.unit_bits


@inlined
def _refresh_bank(m, c, clock, bank, unit):
    """Refresh one bank; from now on it may be asked again."""
    _activates_wait(m, c, bank, unit, clock + m.shape.refresh_clocks - m.shape.activate_clocks)
    first = unit << m.shape.unit_bits & BANK_MASK
    for i in range(m.shape.unit_banks):
        c[DUE_ACTIVATE + first + i] = max(c[DUE_ACTIVATE + first + i], clock + m.gaps.refresh_bank_other)
    c[DUE_ACTIVATE + bank] = max(c[DUE_ACTIVATE + bank], clock + m.gaps.refresh_bank_activate)
    c[REFRESH_DUE + unit] = clock + m.gaps.refresh_bank_refresh
    c[REFRESHING] = -1
    c[REFRESHES] += 1
    next_row(c, READ, bank)
    next_row(c, WRITE, bank)


@inlined
def _close(m, c, clock, bank, unit):
    """The bank has no open row from this clock on: what that means for it and for both queues."""
    c[OPEN_ROW + bank] = -1
    c[DUE_ACTIVATE + bank] = max(c[DUE_ACTIVATE + bank], clock + m.gaps.precharge_activate)
    c[OPEN_BANKS + unit] -= 1
    if c[OPEN_BANKS + unit] == 0:
        c[OPEN_CLOCKS] += clock - c[OPEN_SINCE + unit]
    for write in range(2):
        c[COLUMN_KEY + place_of(write, bank)] = NONE
        if c[SIZE + write] > 0 and not (m.shape.per_bank and c[REFRESHING] == bank):
            next_row(c, write, bank)


@inlined
def _precharges_wait(m, c, clock, unit, until_refresh):
    """What a precharge means for the refresh and the other precharges of its rank."""
    if not m.shape.per_bank:
        c[REFRESH_DUE + unit] = max(c[REFRESH_DUE + unit], clock + until_refresh)
    if m.gaps.precharge_precharge > 0:
        free = clock + m.gaps.precharge_precharge
        c[PRECHARGE_FREE + unit] = free
        first = unit << m.shape.unit_bits & BANK_MASK
        for i in range(m.shape.unit_banks):
            c[DUE_PRECHARGE + first + i] = max(c[DUE_PRECHARGE + first + i], free)


@inlined
def _row_sent(m, c, clock, bank, clocks):
    """A row command is the last of its clock, on one bus or on two."""
    c[ROW_BUS] = clock + clocks
    c[COLUMN_BUS] = max(c[COLUMN_BUS], clock + (1 if m.shape.two_buses else clocks))
    c[BEST_ROW] = 0
    if c[BEST_COLUMN] & BANK_MASK == bank:
        c[BEST_COLUMN] = 0


@inlined
def give_back(c, arrived, done, owner, write):
    """A request will be done then: into the channel's returns, in the order of their clocks."""
    if c[HEAD] == c[TAIL]:
        c[HEAD] = c[TAIL] = 0
    i = c[TAIL]
    c[TAIL] = i + 1
    while i > c[HEAD] and c[RETURN_CLOCK + (i - 1 & RETURNS - 1)] > done:
        c[RETURN_CLOCK + (i & RETURNS - 1)] = c[RETURN_CLOCK + (i - 1 & RETURNS - 1)]
        c[RETURN_OWNER + (i & RETURNS - 1)] = c[RETURN_OWNER + (i - 1 & RETURNS - 1)]
        i -= 1
    c[RETURN_CLOCK + (i & RETURNS - 1)] = done
    c[RETURN_OWNER + (i & RETURNS - 1)] = owner
    c[OWNER], c[DONE] = owner, done
    c[LAST_DONE] = max(c[LAST_DONE], done)
    if not write:
        c[LATENCY] += done - arrived


@inlined
def log(m, clock, channel, command, bank, place):
    """One row of the log, if one is kept; the caller has seen to it that there is room."""
    i = m.run[LOGGED]
    if i < m.log.shape[0]:
        m.log[i, 0], m.log[i, 1], m.log[i, 2] = clock, channel, command
        m.log[i, 3], m.log[i, 4] = bank >> m.shape.unit_bits, bank & m.shape.unit_banks - 1
        m.log[i, 5] = place
        m.run[LOGGED] = i + 1


@inlined
def choose_mode(m, c):
    """Writes are drained when many wait or no read does, until few are left and a read waits."""
    reads, writes, writing = c[SIZE + READ], c[SIZE + WRITE], c[WRITING]
    if writing:
        change = writes <= m.shape.write_off and reads > 0
    else:
        change = writes >= m.shape.write_on or reads == 0
    if change:
        c[WRITING] = 1 - writing
        c[BEST_COLUMN] = c[BEST_ROW] = 0


@inlined
def hear_of(c, bank):
    """The bank's candidates of the queue in use may have become earlier: are they the first now?"""
    place, bank = place_of(c[WRITING], bank), bank & BANK_MASK
    due = max(c[COLUMN_BUS], c[DUE_READ + place])
    c[BEST_COLUMN] = min(c[BEST_COLUMN], (due << KEY_BITS) + c[COLUMN_KEY + place])
    due = c[DUE_PRECHARGE + bank] if c[OPEN_ROW + bank] >= 0 else c[DUE_ACTIVATE + bank]
    due = max(c[ROW_BUS], due)
    c[BEST_ROW] = min(c[BEST_ROW], (due << KEY_BITS) + c[ROW_KEY + place])
