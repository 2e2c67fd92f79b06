"""The request queues of a channel, compiled: one list of slots for each queue and bank, oldest first.

Of every list the controller needs two requests: the oldest that the open row serves (a column command) and
the oldest that needs a row command. They are kept, not searched for. `c` is the channel (`banks`).
"""

from __future__ import annotations

from accelsim.compiled import inlined
from accelsim.dram.banks import (
    BANK_BITS,
    BANK_MASK,
    BEST_COLUMN,
    BEST_ROW,
    COLUMN_KEY,
    COLUMN_SLOT,
    FIRST,
    FREE,
    LAST,
    LAST_ORDER,
    NEXT_ORDER,
    NONE,
    OPEN_ROW,
    PLACE_MASK,
    ROW_KEY,
    ROW_SLOT,
    SIZE,
    SLOT_AFTER,
    SLOT_ARRIVED,
    SLOT_BEFORE,
    SLOT_COLUMN,
    SLOT_COUNTED,
    SLOT_ORDER,
    SLOT_OWNER,
    SLOT_ROW,
)
from accelsim.dram.timing import MOST_BANKS


@inlined
def place_of(write, bank):
    """Where a vector by queue and bank has an entry."""
    return MOST_BANKS * (write & 1) + (bank & BANK_MASK)


@inlined
def waits(c, write, bank, row, column):
    """Is there a request for this burst in the queue?"""
    slot = c[FIRST + place_of(write, bank)] & PLACE_MASK
    while slot > 0 and (c[slot + SLOT_ROW] != row or c[slot + SLOT_COLUMN] != column):
        slot = c[slot + SLOT_AFTER] & PLACE_MASK
    return slot > 0


@inlined
def append(c, write, bank, row, column, owner, clock, hold):
    """Put a request behind all others; the queue has room. With `hold` the bank is not to be asked for it."""
    place, write = place_of(write, bank), write & 1
    slot, order = c[FREE + write] & PLACE_MASK, c[NEXT_ORDER + write]
    before = c[LAST + place] & PLACE_MASK
    c[FREE + write] = c[slot + SLOT_AFTER]
    c[NEXT_ORDER + write] = order + 1
    c[SIZE + write] += 1
    c[LAST + place] = slot
    if before > 0:
        c[before + SLOT_AFTER] = slot
    else:
        c[FIRST + place] = slot
    c[slot + SLOT_ROW] = row
    c[slot + SLOT_COLUMN] = column
    c[slot + SLOT_OWNER] = owner
    c[slot + SLOT_ARRIVED] = clock
    c[slot + SLOT_ORDER] = order
    c[slot + SLOT_COUNTED] = 0
    c[slot + SLOT_BEFORE] = before
    c[slot + SLOT_AFTER] = 0
    if not hold:
        key = order << BANK_BITS | bank
        if row == c[OPEN_ROW + (bank & BANK_MASK)]:
            if c[COLUMN_KEY + place] == NONE:
                c[COLUMN_KEY + place] = key
                c[COLUMN_SLOT + place] = slot
        elif c[ROW_KEY + place] == NONE:
            c[ROW_KEY + place] = key
            c[ROW_SLOT + place] = slot
    if order + 1 == LAST_ORDER:
        renumber(c, write)


@inlined
def remove(c, write, bank, slot):
    """Take a request out; what the bank needs next is up to the caller."""
    place, write, slot = place_of(write, bank), write & 1, slot & PLACE_MASK
    before, after = c[slot + SLOT_BEFORE] & PLACE_MASK, c[slot + SLOT_AFTER] & PLACE_MASK
    if before > 0:
        c[before + SLOT_AFTER] = after
    else:
        c[FIRST + place] = after
    if after > 0:
        c[after + SLOT_BEFORE] = before
    else:
        c[LAST + place] = before
    c[SIZE + write] -= 1
    c[slot + SLOT_AFTER] = c[FREE + write]
    c[FREE + write] = slot


@inlined
def next_column(c, write, bank, slot):
    """The oldest request for the open row, from `slot` on."""
    place, row, slot = place_of(write, bank), c[OPEN_ROW + (bank & BANK_MASK)], slot & PLACE_MASK
    while slot > 0 and c[slot + SLOT_ROW] != row:
        slot = c[slot + SLOT_AFTER] & PLACE_MASK
    c[COLUMN_SLOT + place] = slot
    c[COLUMN_KEY + place] = c[slot + SLOT_ORDER] << BANK_BITS | bank if slot > 0 else NONE


@inlined
def next_row(c, write, bank):
    """The oldest request for another row than the open one (for any row, if none is open)."""
    place, row = place_of(write, bank), c[OPEN_ROW + (bank & BANK_MASK)]
    slot = c[FIRST + place] & PLACE_MASK
    while slot > 0 and c[slot + SLOT_ROW] == row:
        slot = c[slot + SLOT_AFTER] & PLACE_MASK
    c[ROW_SLOT + place] = slot
    c[ROW_KEY + place] = c[slot + SLOT_ORDER] << BANK_BITS | bank if slot > 0 else NONE


@inlined
def no_next(c, write, bank):
    """Nothing is to be asked of the bank for this queue."""
    c[COLUMN_KEY + place_of(write, bank)] = NONE
    c[ROW_KEY + place_of(write, bank)] = NONE


@inlined
def renumber(c, write):
    """Ages from 0 again, in the same order: a key has few bits for them, and snapshots compare them."""
    for order in range(c[SIZE + write]):
        oldest = 0
        for place in range(MOST_BANKS * write, MOST_BANKS * (write + 1)):
            slot = c[FIRST + place]
            while slot > 0:
                # Those that have their new age are marked by a negative number until all have it.
                if c[slot + SLOT_ORDER] >= 0 and (
                    oldest == 0 or c[slot + SLOT_ORDER] < c[oldest + SLOT_ORDER]
                ):
                    oldest = slot
                slot = c[slot + SLOT_AFTER]
        c[oldest + SLOT_ORDER] = -1 - order
    for bank in range(MOST_BANKS):
        place = MOST_BANKS * write + bank
        slot = c[FIRST + place]
        while slot > 0:
            c[slot + SLOT_ORDER] = -1 - c[slot + SLOT_ORDER]
            slot = c[slot + SLOT_AFTER]
        if c[COLUMN_KEY + place] != NONE:
            c[COLUMN_KEY + place] = c[c[COLUMN_SLOT + place] + SLOT_ORDER] << BANK_BITS | bank
        if c[ROW_KEY + place] != NONE:
            c[ROW_KEY + place] = c[c[ROW_SLOT + place] + SLOT_ORDER] << BANK_BITS | bank
    c[NEXT_ORDER + write] = c[SIZE + write]
    c[BEST_COLUMN] = c[BEST_ROW] = 0
