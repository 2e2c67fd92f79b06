"""The request queues of a channel, compiled: one list of slots for each queue and bank, oldest first.

Of every list the controller needs two requests: the oldest that the open row serves (a column command) and
the oldest that needs a row command. They are kept, not searched for.
"""

from __future__ import annotations

from accelsim.compiled import inlined
from accelsim.dram.banks import (
    BANK_BITS,
    COLUMN_SLOT,
    FIRST,
    FREE,
    LAST,
    LAST_ORDER,
    NEXT_ORDER,
    NONE,
    ROW_SLOT,
    SIZE,
    SLOT_AFTER,
    SLOT_ARRIVED,
    SLOT_BEFORE,
    SLOT_COLUMN,
    SLOT_COUNTED,
    SLOT_LINE,
    SLOT_ORDER,
    SLOT_OWNER,
    SLOT_ROW,
)


@inlined
def waits(m, queue, bank, line):
    """Is there a request for this burst in the queue?"""
    slot = m.places[queue * m.shape.banks + bank, FIRST]
    while slot >= 0 and m.slots[slot, SLOT_LINE] != line:
        slot = m.slots[slot, SLOT_AFTER]
    return slot >= 0


@inlined
def append(m, queue, bank, open_row, row, column, line, owner, clock):
    """Put a request behind all others; the queue has room."""
    place, order, slot = queue * m.shape.banks + bank, m.queues[queue, NEXT_ORDER], m.queues[queue, FREE]
    m.queues[queue, FREE] = m.slots[slot, SLOT_AFTER]
    m.queues[queue, NEXT_ORDER] = order + 1
    m.queues[queue, SIZE] += 1
    before = m.places[place, LAST]
    m.places[place, LAST] = slot
    if before >= 0:
        m.slots[before, SLOT_AFTER] = slot
    else:
        m.places[place, FIRST] = slot
    m.slots[slot, SLOT_ROW] = row
    m.slots[slot, SLOT_COLUMN] = column
    m.slots[slot, SLOT_LINE] = line
    m.slots[slot, SLOT_OWNER] = owner
    m.slots[slot, SLOT_ARRIVED] = clock
    m.slots[slot, SLOT_ORDER] = order
    m.slots[slot, SLOT_COUNTED] = 0
    m.slots[slot, SLOT_BEFORE] = before
    m.slots[slot, SLOT_AFTER] = -1
    if row == open_row:
        if m.column_key[queue, bank] == NONE:
            m.column_key[queue, bank] = order << BANK_BITS | bank
            m.places[place, COLUMN_SLOT] = slot
    elif m.row_key[queue, bank] == NONE:
        m.row_key[queue, bank] = order << BANK_BITS | bank
        m.places[place, ROW_SLOT] = slot
    if order + 1 == LAST_ORDER:
        _renumber(m, queue)


@inlined
def remove(m, queue, bank, slot):
    """Take a request out; what the bank needs next is up to the caller."""
    place, before, after = (
        queue * m.shape.banks + bank,
        m.slots[slot, SLOT_BEFORE],
        m.slots[slot, SLOT_AFTER],
    )
    if before >= 0:
        m.slots[before, SLOT_AFTER] = after
    else:
        m.places[place, FIRST] = after
    if after >= 0:
        m.slots[after, SLOT_BEFORE] = before
    else:
        m.places[place, LAST] = before
    m.queues[queue, SIZE] -= 1
    m.slots[slot, SLOT_AFTER] = m.queues[queue, FREE]
    m.queues[queue, FREE] = slot


@inlined
def next_column(m, queue, bank, row, slot):
    """The oldest request for the open row, from `slot` on."""
    while slot >= 0 and m.slots[slot, SLOT_ROW] != row:
        slot = m.slots[slot, SLOT_AFTER]
    m.places[queue * m.shape.banks + bank, COLUMN_SLOT] = slot
    m.column_key[queue, bank] = m.slots[slot, SLOT_ORDER] << BANK_BITS | bank if slot >= 0 else NONE


@inlined
def next_row(m, queue, bank, row):
    """The oldest request for another row than the open one (for any row, if none is open)."""
    place = queue * m.shape.banks + bank
    slot = m.places[place, FIRST]
    while slot >= 0 and m.slots[slot, SLOT_ROW] == row:
        slot = m.slots[slot, SLOT_AFTER]
    m.places[place, ROW_SLOT] = slot
    m.row_key[queue, bank] = m.slots[slot, SLOT_ORDER] << BANK_BITS | bank if slot >= 0 else NONE


@inlined
def _renumber(m, queue):
    """Ages from 0 again, in the same order: a key has few bits for them."""
    slots, banks = m.slots, m.shape.banks
    for order in range(m.queues[queue, SIZE]):
        oldest = -1
        for place in range(queue * banks, (queue + 1) * banks):
            slot = m.places[place, FIRST]
            while slot >= 0:
                # Those that have their new age are marked by a negative number until all have it.
                if slots[slot, SLOT_ORDER] >= 0 and (
                    oldest < 0 or slots[slot, SLOT_ORDER] < slots[oldest, SLOT_ORDER]
                ):
                    oldest = slot
                slot = slots[slot, SLOT_AFTER]
        slots[oldest, SLOT_ORDER] = -1 - order
    for bank in range(banks):
        place = queue * banks + bank
        slot = m.places[place, FIRST]
        while slot >= 0:
            slots[slot, SLOT_ORDER] = -1 - slots[slot, SLOT_ORDER]
            slot = slots[slot, SLOT_AFTER]
        if m.column_key[queue, bank] != NONE:
            slot = m.places[place, COLUMN_SLOT]
            m.column_key[queue, bank] = slots[slot, SLOT_ORDER] << BANK_BITS | bank
        if m.row_key[queue, bank] != NONE:
            slot = m.places[place, ROW_SLOT]
            m.row_key[queue, bank] = slots[slot, SLOT_ORDER] << BANK_BITS | bank
    m.queues[queue, NEXT_ORDER] = m.queues[queue, SIZE]
