"""A cache that holds what was read before: lines are put in place, no time passes."""

from __future__ import annotations

import numpy as np

from accelsim.dram.cache import ASKED, FILLED, LINE, Integers
from accelsim.dram.mapping import CHANNEL, field_all, spread_all
from accelsim.dram.seat import Seat


def warm(seat: Seat, addresses: Integers) -> None:
    """Leave the empty cache as reads of these addresses, in this order, would: the last lines of each set."""
    cache = seat.cache
    if not (cache.sets and addresses.size):
        return
    # Backwards, the first use of a line is its last.
    lines, age = np.unique(addresses[::-1] >> cache.access_bits, return_index=True)
    bursts = spread_all(seat.banks.cut, lines * cache.bursts)
    channel = field_all(seat.banks.mapping, bursts, CHANNEL, 0)
    row = lines // cache.channels % cache.sets
    order = np.lexsort((age, row, channel))
    line, channel, row = lines[order], channel[order], row[order]
    begins = np.flatnonzero(np.diff(channel * cache.sets + row, prepend=-1))
    place = np.arange(line.size) - np.repeat(begins, np.diff(begins, append=line.size))
    kept = place < cache.ways
    at = channel[kept], row[kept], place[kept]
    cache.lines[*at, LINE] = line[kept]
    cache.lines[*at, ASKED] = -1
    cache.lines[*at, FILLED] = 0
