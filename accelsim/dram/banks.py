"""The state of a memory at bank level: rows, the earliest clock of each command, queues; integers only.

`accelsim.dram.controller` moves it. A channel is one row of `Banks.memory`, in whose helpers it is called
`c`: its own numbers first, then vectors by bank, the returns, and the slots of its queues. The names below
are places in that row. Banks of a channel are numbered rank (or pseudo-channel), group, bank.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelsim.dram.mapping import HIGH_MASK, XOR_MASK, Cut, cut, mapping
from accelsim.dram.timing import MOST_BANKS, MOST_UNITS, Device, Gaps

Integers = npt.NDArray[np.int64]

READ, WRITE = 0, 1

# COLUMN_BUS and ROW_BUS: the first clock in which they are free. REFRESHING: the rank (or bank) in turn.
COLUMN_BUS, ROW_BUS, WRITING, REFRESHING, NEXT_REFRESH, NEXT_BANK, ACTIVES, HEAD, TAIL = range(9)
# What goes first of the queue in use (keys, see below), of the active requests and of the rows to be closed:
# kept until a command or an arrival changes it. A clock that is over means that it must be looked for again.
BEST_COLUMN, BEST_ROW, ACTIVE_DUE, ACTIVE_BANK = range(9, 13)
HITS, MISSES, CONFLICTS, READS, WRITES, FORWARDED, MERGED = range(13, 20)
ACTIVATES, REFRESHES, LATENCY, LAST_DONE, OPEN_CLOCKS = range(20, 25)
# Clocks of the pins that were lost (`accelsim.dram.books`), and what happened last for whoever asks: a
# request's owner, the clock in which it is done, and a clock before which no command is due.
LOST_TO_BUS, LOST_TO_ACTIVATES, LOST_TO_CONFLICTS, LOST_TO_REFRESH, OWNER, DONE, NEXT = range(25, 32)
# By queue: `+ READ` or `+ WRITE`.
SIZE, NEXT_ORDER, FREE = 32, 34, 36
# By rank or pseudo-channel: the last four activates, the earliest refresh and precharge, how many banks are
# open and since when any is. By bus (`books`): requests that wait, since when without a gap, the first clock
# in which the pins are free, and the end of the last refresh.
RECENT = 40
(
    REFRESH_DUE,
    PRECHARGE_FREE,
    OPEN_BANKS,
    OPEN_SINCE,
    WAITING,
    SINCE,
    PINS_FREE,
    REFRESHED,
) = range(RECENT + 4 * MOST_UNITS, RECENT + 12 * MOST_UNITS, MOST_UNITS)

# By bank. The first of a pair is for reads (of a queue), the second for writes.
_VECTORS = RECENT + 12 * MOST_UNITS
(
    OPEN_ROW,  # or -1
    DUE_READ,  # earliest clock of the command, as far as other commands are concerned
    DUE_WRITE,
    DUE_ACTIVATE,
    DUE_PRECHARGE,
    COLUMN_KEY,  # age and bank of the oldest request that needs a column command, or NONE
    _,
    ROW_KEY,  # the same for a row command
    _,
    FIRST,  # slots of the list of a queue and bank
    _,
    LAST,
    _,
    COLUMN_SLOT,  # slots of the two candidates
    _,
    ROW_SLOT,
    _,
    CLOSING,  # earliest precharge once there is no active request
    IDLE_FROM,  # the clock from which a row that nobody wants is closed
    ACTIVE_WRITE,  # -1 without an active request
    ACTIVE_COLUMN,
    ACTIVE_OWNER,
    ACTIVE_ARRIVED,
    ACTIVE_COUNTED,
    ACTIVE_LIST,  # banks with an active request, by its arrival
) = range(_VECTORS, _VECTORS + 25 * MOST_BANKS, MOST_BANKS)

RETURNS = 1024  # most requests of a channel that wait to be given back; a power of two
RETURN_CLOCK = _VECTORS + 25 * MOST_BANKS
RETURN_OWNER = RETURN_CLOCK + RETURNS
SLOTS = RETURN_OWNER + RETURNS

# Of a slot, which is known by its place in the row (0: none). AFTER also chains the free slots.
SLOT_ROW, SLOT_COLUMN, SLOT_OWNER, SLOT_ARRIVED, SLOT_ORDER, SLOT_COUNTED, SLOT_BEFORE, SLOT_AFTER = range(8)
SLOT_SIZE = 8

# Rows of `apart` [kind, group, bank]: clocks from a command in a group to one in a bank.
READ_TO, WRITE_TO, ACTIVATE_TO = 0, 2, 4
# Places of `run`.
CLOCK, USED, LOGGED = range(3)
# Commands, as they stand in the log.
ACTIVATE, PRECHARGE, PRECHARGE_ALL, READ_COMMAND, WRITE_COMMAND, REFRESH, REFRESH_BANK = range(7)
COMMANDS = ("ACT", "PRE", "PREA", "RD", "WR", "REF", "REFpb")

# A key orders candidates: clock, then age in the queue, then the bank that it belongs to.
BANK_BITS, ORDER_BITS = 6, 14
BANK_MASK = (1 << BANK_BITS) - 1
# Places are masked where they are read, so that the compiler sees that no index is negative and leaves out
# what Python does with one; loops over banks are vectors only then.
PLACE_MASK = (1 << 20) - 1
KEY_BITS = BANK_BITS + ORDER_BITS
LAST_ORDER = 1 << ORDER_BITS
FAR = 1 << 41  # no clock of a run is that late
NONE = 1 << 62
NEVER = (1 << 63) - 1
NO_GAP = -FAR

# Loops over banks go by so many at a time, which is what a processor does at once.
STRIDE, BLOCK = 8, 32


class Shape(NamedTuple):
    """Counts and limits of one channel, and of the whole memory."""

    channels: int
    units: int
    groups: int
    group_banks: int
    banks: int
    unit_banks: int
    group_bits: int
    unit_bits: int
    padded_banks: int
    depth: int
    write_on: int
    write_off: int
    two_buses: int
    units_coupled: int
    per_bank: int
    closes: int
    idle_clocks: int
    straight: int
    activate_clocks: int
    column_clocks: int
    precharge_clocks: int
    refresh_clocks: int
    offers: int
    own_pins: int
    burst_clocks: int


class Banks(NamedTuple):
    """State of all channels: `memory` [channel, place].

    `log` has a row for each command: clock, channel, command, rank, bank in it, row or column; none is kept
    if it has no rows.
    """

    shape: Shape
    gaps: Gaps
    mapping: Integers
    cut: Cut
    apart: Integers
    memory: Integers
    log: Integers
    run: Integers


def banks(device: Device, *, log_rows: int = 0) -> Banks:
    """An idle memory with all rows closed. Its first clock is 1."""
    mapped = mapping(device)
    shape, gaps = _shape(device, mapped), device.gaps()
    # In the first clock one request is offered, as if the offering side had started between two clocks.
    run = np.array([1, shape.offers - 1, 0], np.int64)
    return Banks(
        shape=shape,
        gaps=gaps,
        mapping=mapped,
        cut=cut(device),
        apart=_apart(shape, gaps),
        memory=_aligned(np.tile(_channel(shape, gaps), (shape.channels, 1))),
        log=np.zeros((log_rows, 6), np.int64),
        run=run,
    )


def open_clocks(m: Banks, until: int) -> int:
    """Clocks up to `until` in which a rank had an open row, summed over all ranks."""
    units = np.arange(m.shape.units)
    is_open, since = m.memory[:, OPEN_BANKS + units] > 0, m.memory[:, OPEN_SINCE + units]
    still_open = np.where(is_open, np.maximum(until - since, 0), 0)
    return int(m.memory[:, OPEN_CLOCKS].sum() + still_open.sum())


def _shape(device: Device, mapped: Integers) -> Shape:
    depth = device.queue
    unit_banks = device.bank_groups * device.banks
    gaps = device.gaps()
    return Shape(
        channels=device.channels,
        units=device.units,
        groups=device.bank_groups,
        group_banks=device.banks,
        banks=device.banks_per_channel,
        unit_banks=unit_banks,
        group_bits=device.banks.bit_length() - 1,
        unit_bits=unit_banks.bit_length() - 1,
        padded_banks=-(-device.banks_per_channel // BLOCK) * BLOCK,
        depth=depth,
        write_on=next(n for n in range(depth + 2) if n > device.write_high * depth),
        write_off=max((n for n in range(depth + 1) if n < device.write_low * depth), default=-1),
        two_buses=int(device.buses == 2),
        units_coupled=int(max(gaps.read_read_other, gaps.read_write_other, gaps.write_read_other) > 0),
        per_bank=int(device.refresh == "per-bank"),
        closes=int(device.page != "open"),
        idle_clocks=device.row_timeout if device.page == "timeout" else 0,
        straight=int(not mapped[:, [HIGH_MASK, XOR_MASK]].any()),
        activate_clocks=device.activate_clocks,
        column_clocks=device.column_clocks,
        precharge_clocks=device.precharge_clocks,
        refresh_clocks=device.refresh_clocks,
        offers=device.offers_per_clock,
        own_pins=int(device.pseudo_channels > 1),
        burst_clocks=device.BL,
    )


def _channel(shape: Shape, gaps: Gaps) -> Integers:
    """A channel in which nothing has happened."""
    c = np.zeros(SLOTS + 2 * shape.depth * SLOT_SIZE, np.int64)
    c[[COLUMN_BUS, ROW_BUS]] = 1
    c[REFRESHING] = c[OWNER] = -1
    c[NEXT_REFRESH] = gaps.refresh_interval
    c[ACTIVE_DUE] = FAR
    c[RECENT : RECENT + 4 * MOST_UNITS] = NO_GAP
    c[OPEN_ROW : OPEN_ROW + MOST_BANKS] = -1
    c[ACTIVE_WRITE : ACTIVE_WRITE + MOST_BANKS] = -1
    c[COLUMN_KEY : COLUMN_KEY + 2 * MOST_BANKS] = NONE
    c[ROW_KEY : ROW_KEY + 2 * MOST_BANKS] = NONE
    for queue in (READ, WRITE):
        slots = SLOTS + (queue * shape.depth + np.arange(shape.depth)) * SLOT_SIZE
        c[FREE + queue] = slots[0]
        c[slots[:-1] + SLOT_AFTER] = slots[1:]
    return c


def _aligned(table: Integers) -> Integers:
    """A copy that begins where a line of the processor's cache does, so that vectors are read at once."""
    line = 8
    room = np.zeros(table.size + line, np.int64)
    begin = -(room.ctypes.data // 8) % line
    copy = room[begin : begin + table.size].reshape(table.shape)
    copy[...] = table
    return copy


def _apart(shape: Shape, gaps: Gaps) -> Integers:
    """Clocks between commands by the group of the first and the bank of the second."""
    group = np.arange(shape.units * shape.groups)[:, None]
    bank = np.arange(shape.padded_banks)[None, :]
    same_group = bank // shape.group_banks == group
    same_unit = bank // shape.unit_banks == group // shape.groups

    def kind(in_group: int, in_unit: int, other: int) -> Integers:
        elsewhere = np.where(same_unit, in_unit, other or NO_GAP)
        return np.where(same_group, in_group, elsewhere).astype(np.int64)

    return _aligned(
        np.stack(
            [
                kind(gaps.read_read_group, gaps.read_read_rank, gaps.read_read_other),
                kind(gaps.read_write_rank, gaps.read_write_rank, gaps.read_write_other),
                kind(gaps.write_read_group, gaps.write_read_rank, gaps.write_read_other),
                kind(gaps.write_write_group, gaps.write_write_rank, gaps.write_write_other),
                kind(gaps.activate_activate_group, gaps.activate_activate_rank, 0),
            ]
        )
    )
