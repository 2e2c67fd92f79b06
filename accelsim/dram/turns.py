"""What it does to a memory's banks and rows if every address grows by the same number of bursts.

Above the columns, channels and ranks of most mappings lie bank group, bank and row. There a step moves every
bank to the next one (and the last to the first, a row higher), and leaves ranks, and which banks share a
group, as they were: no timing and no rule of the controller can tell the banks apart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from accelsim.compiled import inlined
from accelsim.dram.banks import Integers
from accelsim.dram.mapping import BANK, GROUP, ROW, XOR_NAME, cut, pieces
from accelsim.dram.timing import Device


class Turns(NamedTuple):
    """A step is `bursts` bursts; `1 << bits` steps are a row of every bank.

    `number` [bank] is a bank's place among those that steps lead through, `bank_at` [bank, place] the bank
    that they lead it to.
    """

    bursts: int
    bits: int
    number: Integers
    bank_at: Integers


def turns(device: Device) -> Turns | None:
    """The steps of a device, or None if its mapping has none: rows must be the highest bits."""
    found = pieces(device)
    if found[-1][0] != ROW:
        return None
    turning = []
    # A bank that is closed or refreshed in its turn, or xored with the column, is not like every other.
    alike = (
        device.page == "open" and device.refresh == "all-bank" and device.mapping.lower() != XOR_NAME.lower()
    )
    for which, _ in reversed(found[:-1]):
        if not alike or which not in (GROUP, BANK) or GROUP in turning:
            break
        turning.append(which)
    bits = sum(width for which, width in found if which in turning)
    below = sum(width for _, width in found[:-1]) - bits
    divided = cut(device)
    number, bank_at = _places(device, turning, bits)
    return Turns(
        bursts=(1 << below - divided.bits) * (divided.channels if divided.bits else 1),
        bits=bits,
        number=number,
        bank_at=bank_at,
    )


@inlined
def moved(turns, bank, steps):
    """The bank that so many steps lead to, and the rows that they add there."""
    place = turns.number[bank] + steps
    return turns.bank_at[bank, place & (1 << turns.bits) - 1], place >> turns.bits


def _places(device: Device, turning: list[int], bits: int) -> tuple[Integers, Integers]:
    """`number` and `bank_at`: group below bank, as far as they turn."""
    bank = np.arange(device.banks_per_channel)
    inner, group = bank % device.banks, bank // device.banks % device.bank_groups
    number, fixed = np.zeros_like(bank), bank.copy()
    if BANK in turning:
        number, fixed = inner, fixed - inner
    if GROUP in turning:
        number, fixed = number * device.bank_groups + group, fixed - group * device.banks
    bank_at = np.zeros((len(bank), 1 << bits), np.int64)
    for one in bank:
        bank_at[one, number[fixed == fixed[one]]] = bank[fixed == fixed[one]]
    return number.astype(np.int64), bank_at
