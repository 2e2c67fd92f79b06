"""The state of a memory at bank level: rows, the earliest clock of each command, queues; arrays only.

`accelsim.dram.controller` moves it. Where a docstring says [channel, ...], the first index is the channel;
a *queue* is numbered `2 * channel + (0 for reads, 1 for writes)`, a *place* `queue * banks + bank`.
Banks of a channel are numbered rank (or pseudo-channel), group, bank.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelsim.dram.mapping import mapping
from accelsim.dram.timing import Device, Gaps

Integers = npt.NDArray[np.int64]

READ, WRITE = 0, 1
# `due` [command, channel, bank]: earliest clock; the first two are indexed by READ and WRITE.
DUE_ACTIVATE, DUE_PRECHARGE = 2, 3
# Columns of `slots`: one queued request; `AFTER` also chains the free slots of a queue.
SLOT_ROW, SLOT_COLUMN, SLOT_LINE, SLOT_OWNER, SLOT_ARRIVED, SLOT_ORDER, SLOT_COUNTED = range(7)
SLOT_BEFORE, SLOT_AFTER = 7, 8
# Columns of `queues`.
SIZE, NEXT_ORDER, FREE = range(3)
# Columns of `places`: the list of a queue and bank, and its two candidates.
FIRST, LAST, COLUMN_SLOT, ROW_SLOT = range(4)
# Columns of `banks`, [channel * banks + bank]; ACTIVE_WRITE is -1 without an active request.
UNIT, GROUP, CLOSING, ACTIVE_WRITE, ACTIVE_COLUMN, ACTIVE_OWNER, ACTIVE_ARRIVED = range(7)
# Columns of `units`, [channel * units + unit]: the last four activates and the earliest refresh.
RECENT, REFRESH_DUE = 0, 4
# Columns of `channels`. COLUMN_BUS and ROW_BUS: the first clock in which they are free.
COLUMN_BUS, ROW_BUS, WRITING, REFRESHING, NEXT_REFRESH, ACTIVES, HEAD, TAIL = range(8)
HITS, MISSES, CONFLICTS, READS, WRITES, FORWARDED, MERGED, ACTIVATES, REFRESHES = range(8, 17)
LATENCY, LAST_DONE = 17, 18
# Rows of `apart` [kind, group, bank]: clocks from a command in a group to one in a bank.
READ_TO, WRITE_TO, ACTIVATE_TO_ACTIVATE = 0, 2, 4
# Places of `run`.
CLOCK, USED, LOGGED = range(3)
# Commands, as they stand in the log.
ACTIVATE, PRECHARGE, PRECHARGE_ALL, READ_COMMAND, WRITE_COMMAND, REFRESH = range(6)
COMMANDS = ("ACT", "PRE", "PREA", "RD", "WR", "REF")

# A key orders candidates: clock, then age in the queue, then the bank that it belongs to.
BANK_BITS, ORDER_BITS = 6, 14
KEY_BITS = BANK_BITS + ORDER_BITS
LAST_ORDER = 1 << ORDER_BITS
FAR = 1 << 41  # no clock of a run is that late
NONE = 1 << 62
NO_GAP = -FAR

RETURNS = 1024  # most requests of a channel that wait to be given back; a power of two


class Shape(NamedTuple):
    """Counts and limits of one channel, and of the whole memory."""

    channels: int
    units: int
    groups: int
    group_banks: int
    banks: int
    unit_banks: int
    depth: int
    write_on: int
    write_off: int
    two_buses: int
    activate_clocks: int
    offers: int


class Banks(NamedTuple):
    """State of all channels.

    `row` [channel, bank]: the open row, or -1. `column_key`, `row_key` [queue, bank]: age and bank of the
    oldest request that needs a column or a row command, or NONE. `active_banks` [channel, n]: banks with an
    active request, by arrival. `log` has a row for each command: clock, channel, command, rank, bank in it,
    row or column; none is kept if it has no rows.
    """

    shape: Shape
    gaps: Gaps
    mapping: Integers
    apart: Integers
    due: Integers
    row: Integers
    column_key: Integers
    row_key: Integers
    places: Integers
    slots: Integers
    queues: Integers
    banks: Integers
    active_banks: Integers
    units: Integers
    channels: Integers
    returns: Integers
    log: Integers
    run: Integers


def banks(device: Device, order: str, *, log_rows: int = 0) -> Banks:
    """An idle memory with all rows closed. Its first clock is 1.

    Raises ValueError for an unknown mapping.
    """
    shape, gaps = _shape(device), device.gaps()
    queues, count = 2 * shape.channels, shape.banks
    channels = np.zeros((shape.channels, 19), np.int64)
    channels[:, (COLUMN_BUS, ROW_BUS)] = 1
    channels[:, REFRESHING] = -1
    channels[:, NEXT_REFRESH] = gaps.refresh_interval
    units = np.zeros((shape.channels * shape.units, 5), np.int64)
    units[:, RECENT : RECENT + 4] = NO_GAP
    # In the first clock one request is offered, as if the offering side had started between two clocks.
    run = np.array([1, shape.offers - 1, 0], np.int64)
    return Banks(
        shape=shape,
        gaps=gaps,
        mapping=mapping(order, device),
        apart=_apart(shape, gaps),
        due=np.zeros((4, shape.channels, count), np.int64),
        row=np.full((shape.channels, count), -1, np.int64),
        column_key=np.full((queues, count), NONE, np.int64),
        row_key=np.full((queues, count), NONE, np.int64),
        places=np.full((queues * count, 4), -1, np.int64),
        slots=_free_slots(queues, shape.depth),
        queues=np.array([[0, 0, queue * shape.depth] for queue in range(queues)], np.int64),
        banks=_banks(shape),
        active_banks=np.full((shape.channels, count), -1, np.int64),
        units=units,
        channels=channels,
        returns=np.zeros((shape.channels * RETURNS, 2), np.int64),
        log=np.zeros((log_rows, 6), np.int64),
        run=run,
    )


def _shape(device: Device) -> Shape:
    depth = device.queue
    return Shape(
        channels=device.channels,
        units=device.units,
        groups=device.bank_groups,
        group_banks=device.banks,
        banks=device.banks_per_channel,
        unit_banks=device.bank_groups * device.banks,
        depth=depth,
        write_on=next(n for n in range(depth + 2) if n > device.write_high * depth),
        write_off=max((n for n in range(depth + 1) if n < device.write_low * depth), default=-1),
        two_buses=int(device.buses == 2),
        activate_clocks=device.activate_clocks,
        offers=device.offers_per_clock,
    )


def _free_slots(queues: int, depth: int) -> Integers:
    slots = np.zeros((queues * depth, 9), np.int64)
    slots[:, SLOT_AFTER] = np.arange(1, queues * depth + 1)
    slots[depth - 1 :: depth, SLOT_AFTER] = -1
    return slots


def _banks(shape: Shape) -> Integers:
    table = np.full((shape.channels * shape.banks, 7), -1, np.int64)
    bank = np.arange(shape.channels * shape.banks) % shape.banks
    table[:, UNIT] = bank // shape.unit_banks
    table[:, GROUP] = bank // shape.group_banks
    table[:, CLOSING] = 0
    return table


def _apart(shape: Shape, gaps: Gaps) -> Integers:
    """Clocks between commands by the group of the first and the bank of the second."""
    group = np.arange(shape.units * shape.groups)[:, None]
    bank = np.arange(shape.banks)[None, :]
    same_group = bank // shape.group_banks == group
    same_unit = bank // shape.unit_banks == group // shape.groups

    def kind(in_group: int, in_unit: int, other: int) -> Integers:
        elsewhere = np.where(same_unit, in_unit, other or NO_GAP)
        return np.where(same_group, in_group, elsewhere).astype(np.int64)

    return np.stack(
        [
            kind(gaps.read_read_group, gaps.read_read_rank, gaps.read_read_other),
            kind(gaps.read_write_rank, gaps.read_write_rank, gaps.read_write_other),
            kind(gaps.write_read_group, gaps.write_read_rank, gaps.write_read_other),
            kind(gaps.write_write_group, gaps.write_write_rank, gaps.write_write_other),
            kind(gaps.activate_activate_group, gaps.activate_activate_rank, 0),
        ]
    )
