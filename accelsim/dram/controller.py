"""First-ready, first-come-first-served control of banks, compiled; a step is a command, never a clock.

Of the commands that may be sent in a clock, that of the oldest request is sent: a ready precharge for an
older request goes before a younger row hit. A request whose row was opened for it leaves the queue for its
bank's place in the active list, which goes first. Rules: `docs/dram.md`.
"""

from __future__ import annotations

from accelsim.compiled import inlined
from accelsim.dram.banks import (
    ACTIVATE,
    ACTIVATE_TO_ACTIVATE,
    ACTIVATES,
    ACTIVE_ARRIVED,
    ACTIVE_COLUMN,
    ACTIVE_OWNER,
    ACTIVE_WRITE,
    ACTIVES,
    BANK_BITS,
    CLOSING,
    COLUMN_BUS,
    COLUMN_SLOT,
    CONFLICTS,
    DUE_ACTIVATE,
    DUE_PRECHARGE,
    FAR,
    FIRST,
    FORWARDED,
    GROUP,
    HEAD,
    HITS,
    KEY_BITS,
    LAST_DONE,
    LATENCY,
    LOGGED,
    MERGED,
    MISSES,
    NEXT_REFRESH,
    NONE,
    PRECHARGE,
    PRECHARGE_ALL,
    READ,
    READ_COMMAND,
    READ_TO,
    READS,
    RECENT,
    REFRESH,
    REFRESH_DUE,
    REFRESHES,
    REFRESHING,
    RETURNS,
    ROW_BUS,
    ROW_SLOT,
    SIZE,
    SLOT_AFTER,
    SLOT_ARRIVED,
    SLOT_COLUMN,
    SLOT_COUNTED,
    SLOT_OWNER,
    SLOT_ROW,
    TAIL,
    UNIT,
    WRITE,
    WRITE_TO,
    WRITES,
    WRITING,
)
from accelsim.dram.queue import append, next_column, next_row, remove, waits

BANK_MASK = (1 << BANK_BITS) - 1


@inlined
def clock_of(m, channel):
    """The first clock that is not over."""
    return min(m.channels[channel, COLUMN_BUS], m.channels[channel, ROW_BUS])


@inlined
def has_room(m, channel, write):
    """Has the queue of reads or of writes room for one more?"""
    return m.queues[2 * channel + write, SIZE] < m.shape.depth


@inlined
def is_written(m, channel, bank, line):
    """Does a write of this burst wait? Then a read is answered from it, and another write replaces it."""
    return m.queues[2 * channel + WRITE, SIZE] > 0 and waits(m, 2 * channel + WRITE, bank, line)


@inlined
def take(m, channel, write, bank, row, column, line, owner, clock, written):
    """Accept a request in this clock, before its commands are chosen; all clocks before it are over."""
    m.channels[channel, WRITES if write else READS] += 1
    if written:
        m.channels[channel, MERGED if write else FORWARDED] += 1
        give_back(m, channel, clock, clock + 1, owner, write)
    else:
        append(m, 2 * channel + write, bank, m.row[channel, bank], row, column, line, owner, clock)


@inlined
def step(m, channel, until):
    """Send the next command of a channel, if it is due before `until`. Gives its clock, else a later one."""
    state = m.channels
    clock = clock_of(m, channel)
    if clock >= until:
        return until
    if state[channel, REFRESHING] < 0 and clock >= state[channel, NEXT_REFRESH]:
        state[channel, REFRESHING] = 0
        state[channel, NEXT_REFRESH] += m.gaps.refresh_interval
    due, bank = _earliest_active(m, channel)
    limit, refresh_due, column_key, row_key = until, FAR, NONE, NONE
    if state[channel, REFRESHING] >= 0:
        refresh_due = _refresh_due(m, channel)
    else:
        limit = min(until, state[channel, NEXT_REFRESH])
        if due > clock:
            _choose_mode(m, channel)
        queue = 2 * channel + state[channel, WRITING]
        column_key = _earliest_column(m, channel, queue)
        row_key = _earliest_row(m, channel, queue)
    column_due, row_due = column_key >> KEY_BITS, row_key >> KEY_BITS
    first = min(min(due, refresh_due), min(column_due, row_due))
    if first >= limit:
        state[channel, COLUMN_BUS] = max(state[channel, COLUMN_BUS], limit)
        state[channel, ROW_BUS] = max(state[channel, ROW_BUS], limit)
        return limit
    if due == first:
        _send_column(m, channel, first, bank, True)
    elif column_due == first and (row_due > first or m.shape.two_buses or column_key < row_key):
        _send_column(m, channel, first, column_key & BANK_MASK, False)
    else:
        _send_row(m, channel, first, row_key & BANK_MASK, refresh_due == first)
    return first


@inlined
def _earliest_active(m, channel):
    """Clock and bank of the active request that is ready first; among equals, the one that arrived first."""
    best, best_bank, now = FAR, -1, m.channels[channel, COLUMN_BUS]
    for i in range(m.channels[channel, ACTIVES]):
        bank = m.active_banks[channel, i]
        write = m.banks[channel * m.shape.banks + bank, ACTIVE_WRITE]
        due = max(now, m.due[write, channel, bank])
        if due < best:
            best, best_bank = due, bank
    return best, best_bank


@inlined
def _choose_mode(m, channel):
    """Writes are drained when many wait or no read does, until few are left and a read waits."""
    reads, writes = m.queues[2 * channel + READ, SIZE], m.queues[2 * channel + WRITE, SIZE]
    if m.channels[channel, WRITING]:
        if writes <= m.shape.write_off and reads > 0:
            m.channels[channel, WRITING] = 0
    elif writes >= m.shape.write_on or reads == 0:
        m.channels[channel, WRITING] = 1


@inlined
def _earliest_column(m, channel, queue):
    """Key of the column command that goes first."""
    best, now, write = NONE, m.channels[channel, COLUMN_BUS], queue & 1
    for bank in range(m.shape.banks):
        due = max(now, m.due[write, channel, bank])
        best = min(best, (due << KEY_BITS) + m.column_key[queue, bank])
    return best


@inlined
def _earliest_row(m, channel, queue):
    """Key of the precharge or activate that goes first."""
    best, now = NONE, m.channels[channel, ROW_BUS]
    for bank in range(m.shape.banks):
        close, opens = m.due[DUE_PRECHARGE, channel, bank], m.due[DUE_ACTIVATE, channel, bank]
        due = max(now, close if m.row[channel, bank] >= 0 else opens)
        best = min(best, (due << KEY_BITS) + m.row_key[queue, bank])
    return best


@inlined
def _refresh_due(m, channel):
    """Clock of the command that the rank in turn needs next: precharge all, or refresh."""
    unit, now = m.channels[channel, REFRESHING], m.channels[channel, ROW_BUS]
    close = -1
    for bank in range(unit * m.shape.unit_banks, (unit + 1) * m.shape.unit_banks):
        if m.row[channel, bank] >= 0:
            close = max(close, m.due[DUE_PRECHARGE, channel, bank])
    return max(now, close if close >= 0 else m.units[channel * m.shape.units + unit, REFRESH_DUE])


@inlined
def _send_column(m, channel, clock, bank, is_active):
    """A read or write: of the bank's active request, or of one in the queue that finds its row open."""
    b = channel * m.shape.banks + bank
    if is_active:
        write, column = m.banks[b, ACTIVE_WRITE], m.banks[b, ACTIVE_COLUMN]
        arrived, owner = m.banks[b, ACTIVE_ARRIVED], m.banks[b, ACTIVE_OWNER]
        m.banks[b, ACTIVE_WRITE] = -1
        m.channels[channel, ACTIVES] -= 1
        place = 0
        while m.active_banks[channel, place] != bank:
            place += 1
        for i in range(place, m.channels[channel, ACTIVES]):
            m.active_banks[channel, i] = m.active_banks[channel, i + 1]
    else:
        write = m.channels[channel, WRITING]
        queue = 2 * channel + write
        slot = m.places[queue * m.shape.banks + bank, COLUMN_SLOT]
        column, after = m.slots[slot, SLOT_COLUMN], m.slots[slot, SLOT_AFTER]
        arrived, owner = m.slots[slot, SLOT_ARRIVED], m.slots[slot, SLOT_OWNER]
        if m.slots[slot, SLOT_COUNTED] == 0:
            m.channels[channel, HITS] += 1
        remove(m, queue, bank, slot)
        next_column(m, queue, bank, m.row[channel, bank], after)
    group = m.banks[b, GROUP]
    kind = WRITE_TO if write else READ_TO
    for i in range(m.shape.banks):
        m.due[READ, channel, i] = max(m.due[READ, channel, i], clock + m.apart[kind, group, i])
        m.due[WRITE, channel, i] = max(m.due[WRITE, channel, i], clock + m.apart[kind + 1, group, i])
    close = m.gaps.write_precharge if write else m.gaps.read_precharge
    m.banks[b, CLOSING] = max(m.banks[b, CLOSING], clock + close)
    if m.banks[b, ACTIVE_WRITE] < 0:
        m.due[DUE_PRECHARGE, channel, bank] = m.banks[b, CLOSING]
    done = clock + (m.gaps.write_done if write else m.gaps.read_done)
    log(m, clock, channel, READ_COMMAND + write, bank, column)
    give_back(m, channel, arrived, done, owner, write)
    m.channels[channel, COLUMN_BUS] = clock + 1
    if m.shape.two_buses:
        # The row bus still has its turn in this clock, and its pick looks at the queues anew.
        m.channels[channel, ROW_BUS] = max(m.channels[channel, ROW_BUS], clock)
        if m.channels[channel, REFRESHING] < 0:
            _choose_mode(m, channel)
    else:
        m.channels[channel, ROW_BUS] = clock + 1


@inlined
def _send_row(m, channel, clock, bank, refreshes):
    """Open or close a bank for its oldest request to another row; or close a rank, or refresh it."""
    shape, u = m.shape, channel * m.shape.units
    row, clocks, place = -1, 1, 0
    if refreshes:
        unit = m.channels[channel, REFRESHING]
        begin, end, command = unit * shape.unit_banks, (unit + 1) * shape.unit_banks, REFRESH
        for i in range(begin, end):
            if m.row[channel, i] >= 0:
                command = PRECHARGE_ALL
    else:
        queue = 2 * channel + m.channels[channel, WRITING]
        slot = m.places[queue * shape.banks + bank, ROW_SLOT]
        begin, end, unit = bank, bank + 1, m.banks[channel * shape.banks + bank, UNIT]
        is_open = m.row[channel, bank] >= 0
        command = PRECHARGE if is_open else ACTIVATE
        if m.slots[slot, SLOT_COUNTED] == 0:
            m.channels[channel, CONFLICTS if is_open else MISSES] += 1
        m.slots[slot, SLOT_COUNTED] = 1
        if not is_open:
            place = row = m.slots[slot, SLOT_ROW]
            clocks = shape.activate_clocks
            _make_active(m, channel, queue, bank, slot)
            _activated(m, channel, clock, bank, u + unit)
    if command == REFRESH:
        for i in range(begin, end):
            m.due[DUE_ACTIVATE, channel, i] = max(
                m.due[DUE_ACTIVATE, channel, i], clock + m.gaps.refresh_activate
            )
        m.channels[channel, REFRESHES] += 1
        m.channels[channel, REFRESHING] = unit + 1 if unit + 1 < shape.units else -1
    else:
        gap = m.gaps.activate_refresh if command == ACTIVATE else m.gaps.precharge_refresh
        m.units[u + unit, REFRESH_DUE] = max(m.units[u + unit, REFRESH_DUE], clock + gap)
        for i in range(begin, end):
            if m.row[channel, i] != row:
                _turn(m, channel, clock, i, row)
    log(m, clock, channel, command, begin, place)
    # A row command is the last of its clock, on one bus or on two.
    m.channels[channel, ROW_BUS] = clock + clocks
    m.channels[channel, COLUMN_BUS] = max(m.channels[channel, COLUMN_BUS], clock + 1)


@inlined
def _turn(m, channel, clock, bank, row):
    """The bank's open row changes, to -1 if it is closed: what both queues need of it, too."""
    m.row[channel, bank] = row
    if row < 0:
        m.due[DUE_ACTIVATE, channel, bank] = max(
            m.due[DUE_ACTIVATE, channel, bank], clock + m.gaps.precharge_activate
        )
    for queue in range(2 * channel, 2 * channel + 2):
        first = m.places[queue * m.shape.banks + bank, FIRST]
        if first >= 0:
            next_column(m, queue, bank, row, first)
            next_row(m, queue, bank, row)
        else:
            m.column_key[queue, bank] = NONE
            m.row_key[queue, bank] = NONE


@inlined
def _make_active(m, channel, queue, bank, slot):
    """Move a request from the queue to its bank's place in the active list, which is ordered by arrival."""
    first, arrived = channel * m.shape.banks, m.slots[slot, SLOT_ARRIVED]
    m.banks[first + bank, ACTIVE_WRITE] = queue & 1
    m.banks[first + bank, ACTIVE_COLUMN] = m.slots[slot, SLOT_COLUMN]
    m.banks[first + bank, ACTIVE_OWNER] = m.slots[slot, SLOT_OWNER]
    m.banks[first + bank, ACTIVE_ARRIVED] = arrived
    i = m.channels[channel, ACTIVES]
    while i > 0 and m.banks[first + m.active_banks[channel, i - 1], ACTIVE_ARRIVED] > arrived:
        m.active_banks[channel, i] = m.active_banks[channel, i - 1]
        i -= 1
    m.active_banks[channel, i] = bank
    m.channels[channel, ACTIVES] += 1
    remove(m, queue, bank, slot)


@inlined
def _activated(m, channel, clock, bank, u):
    """What an activate means for its bank, its group and its rank."""
    g, b = m.gaps, channel * m.shape.banks + bank
    for i in range(RECENT, RECENT + 3):
        m.units[u, i] = m.units[u, i + 1]
    m.units[u, RECENT + 3] = clock
    fifth = m.units[u, RECENT] + g.four_activates
    unit, group = m.banks[b, UNIT], m.banks[b, GROUP]
    for i in range(m.shape.banks):
        due = max(m.due[DUE_ACTIVATE, channel, i], clock + m.apart[ACTIVATE_TO_ACTIVATE, group, i])
        m.due[DUE_ACTIVATE, channel, i] = due
    for i in range(unit * m.shape.unit_banks, (unit + 1) * m.shape.unit_banks):
        m.due[DUE_ACTIVATE, channel, i] = max(m.due[DUE_ACTIVATE, channel, i], fifth)
    m.due[DUE_ACTIVATE, channel, bank] = max(
        m.due[DUE_ACTIVATE, channel, bank], clock + g.activate_activate_bank
    )
    m.due[READ, channel, bank] = max(m.due[READ, channel, bank], clock + g.activate_read)
    m.due[WRITE, channel, bank] = max(m.due[WRITE, channel, bank], clock + g.activate_write)
    m.banks[b, CLOSING] = clock + g.activate_precharge
    m.due[DUE_PRECHARGE, channel, bank] = FAR  # until the active request has had its column command
    m.channels[channel, ACTIVATES] += 1


@inlined
def give_back(m, channel, arrived, done, owner, write):
    """A request will be done then: into the channel's returns, in the order of their clocks."""
    base, i = channel * RETURNS, m.channels[channel, TAIL]
    m.channels[channel, TAIL] = i + 1
    while i > m.channels[channel, HEAD] and m.returns[base + (i - 1 & RETURNS - 1), 0] > done:
        m.returns[base + (i & RETURNS - 1), 0] = m.returns[base + (i - 1 & RETURNS - 1), 0]
        m.returns[base + (i & RETURNS - 1), 1] = m.returns[base + (i - 1 & RETURNS - 1), 1]
        i -= 1
    m.returns[base + (i & RETURNS - 1), 0] = done
    m.returns[base + (i & RETURNS - 1), 1] = owner
    m.channels[channel, LAST_DONE] = max(m.channels[channel, LAST_DONE], done)
    if not write:
        m.channels[channel, LATENCY] += done - arrived


@inlined
def log(m, clock, channel, command, bank, place):
    """One row of the log, if one is kept; the caller has seen to it that there is room."""
    i = m.run[LOGGED]
    if i < m.log.shape[0]:
        m.log[i, 0], m.log[i, 1], m.log[i, 2] = clock, channel, command
        m.log[i, 3], m.log[i, 4] = bank // m.shape.unit_banks, bank % m.shape.unit_banks
        m.log[i, 5] = place
        m.run[LOGGED] = i + 1
