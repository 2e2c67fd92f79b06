"""Which bits of an address are channel, column, rank, bank group, bank and row.

A mapping is named by its order from the highest bit down, two letters each: Ch, Co, Ra (rank or
pseudo-channel), Bg (bank group), Ba (bank), Ro. `Ba` without `Bg` means both, the bank above its group.
Where the channels are no power of two, they are cut out by division, and bits are left free for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from accelsim.compiled import inlined
from accelsim.words import unknown

if TYPE_CHECKING:
    from accelsim.dram.timing import Device

CHANNEL, COLUMN, RANK, GROUP, BANK, ROW = range(6)
LETTERS = {"ch": CHANNEL, "co": COLUMN, "ra": RANK, "bg": GROUP, "ba": BANK, "ro": ROW}
XOR_NAME = "MOP4CLXOR"
DEFAULT = "RoBaRaCoCh"
NAMES = (DEFAULT, "RoChRaBaBgCo", "RoCoRaBaCh", XOR_NAME)


# Columns of a mapping. Field = (line >> SHIFT & MASK) | (line >> HIGH & HIGH_MASK) << PLACE, then
# xored with (column >> XOR & XOR_MASK).
SHIFT, MASK, HIGH, HIGH_MASK, PLACE, XOR, XOR_MASK = range(7)


class Cut(NamedTuple):
    """How a burst's number gets a whole number of bits for its channel: `channels` of 1 << `bits`, above
    `below` bursts that stay together. As it is where `bits` is 0.
    """

    channels: int
    bits: int
    below: int


def mapping(device: Device) -> npt.NDArray[np.int64]:
    """The mapping of a device: [6 fields, 7 columns], see above; `line` is a burst's number, spread.

    Raises ValueError for a word that is neither a known name nor an order of all the fields.
    """
    return _pack(pieces(device), device)


def cut(device: Device) -> Cut:
    """What `spread` needs to know."""
    if device.channels & device.channels - 1 == 0:
        return Cut(channels=device.channels, bits=0, below=1)
    below = 0
    for which, width in pieces(device):
        if which == CHANNEL:
            break
        below += width
    return Cut(channels=device.channels, bits=(device.channels - 1).bit_length(), below=1 << below)


def spread_all(cut: Cut, line: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Bursts' numbers with bits of their own for the channel."""
    if cut.bits == 0:
        return line
    above = line // cut.below
    return (above // cut.channels << cut.bits | above % cut.channels) * cut.below + line % cut.below


spread = inlined(spread_all)


def check_mapping(device: Device) -> None:
    """ValueError for a mapping that is none of the device."""
    pieces(device)


def run_length(device: Device) -> int:
    """Bursts of a channel, one behind the other in the order of addresses, that lie in one bank group."""
    length = 1
    for which, width in pieces(device):
        if which in (RANK, GROUP):
            break
        if which != CHANNEL:
            length <<= width
    return length


def field_all(
    mapped: npt.NDArray[np.int64],
    line: npt.NDArray[np.int64],
    which: int,
    column: int | npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """One field of burst numbers `line`; `column` matters only where the mapping has an xor."""
    low = line >> mapped[which, SHIFT] & mapped[which, MASK]
    high = (line >> mapped[which, HIGH] & mapped[which, HIGH_MASK]) << mapped[which, PLACE]
    found: npt.NDArray[np.int64] = (low | high) ^ (column >> mapped[which, XOR] & mapped[which, XOR_MASK])
    return found


field = inlined(field_all)


@inlined
def decode(m, line):
    """Bank in the channel, row and column of a burst's number, spread; `m` is the memory (`banks`)."""
    mapped, shape = m.mapping, m.shape
    if shape.straight:
        column = line >> mapped[COLUMN, SHIFT] & mapped[COLUMN, MASK]
        row = line >> mapped[ROW, SHIFT] & mapped[ROW, MASK]
        unit = line >> mapped[RANK, SHIFT] & mapped[RANK, MASK]
        group = line >> mapped[GROUP, SHIFT] & mapped[GROUP, MASK]
        bank = line >> mapped[BANK, SHIFT] & mapped[BANK, MASK]
    else:
        column, row = field(mapped, line, COLUMN, 0), field(mapped, line, ROW, 0)
        unit, group = field(mapped, line, RANK, column), field(mapped, line, GROUP, column)
        bank = field(mapped, line, BANK, column)
    return unit << shape.unit_bits | group << shape.group_bits | bank, row, column


def pieces(device: Device) -> list[tuple[int, int]]:
    """(field, width) of a burst's number from the lowest bit up; the column may come in two pieces."""
    bits = _bits(device)
    together = device.interleave // device.burst_bytes
    if device.interleave and (device.interleave % device.burst_bytes or together & together - 1):
        raise ValueError(
            f"{device.device}: interleave must be 0 or a power of two of bursts of {device.burst_bytes} B, "
            f"not {device.interleave}"
        )
    low = together.bit_length() - 1 if together else 0
    if device.mapping.lower() == XOR_NAME.lower():
        # Four bursts of a row in one bank, then the next rank, group and bank.
        lowest = [COLUMN, CHANNEL] if low else [CHANNEL, COLUMN]
        low, order = max(low, 2), [*lowest, RANK, GROUP, BANK, COLUMN, ROW]
    else:
        order = [COLUMN, *_order(device.mapping)] if low else _order(device.mapping)
    if low > bits[COLUMN]:
        raise ValueError(
            f"{device.device}: mapping {device.mapping} with interleave {device.interleave} needs "
            f">= {1 << low} columns, not {device.columns}"
        )
    found = [(which, bits[which]) for which in order]
    if low:
        first, rest = (place for place, which in enumerate(order) if which == COLUMN)
        found[first], found[rest] = (COLUMN, low), (COLUMN, bits[COLUMN] - low)
    return found


def _bits(device: Device) -> dict[int, int]:
    counts = {
        CHANNEL: device.channels,
        COLUMN: device.columns,
        RANK: device.units,
        GROUP: device.bank_groups,
        BANK: device.banks,
        ROW: device.rows,
    }
    return {which: (count - 1).bit_length() for which, count in counts.items()}


def _order(name: str) -> list[int]:
    """Fields from the lowest bit up."""
    words = [name.lower()[i : i + 2] for i in range(0, len(name), 2)]
    if "bg" not in words and "ba" in words:
        words.insert(words.index("ba") + 1, "bg")
    if sorted(words) != sorted(LETTERS):
        raise ValueError(f"{unknown('mapping', name, NAMES)} (or any order of Ro Ba Bg Ra Co Ch)")
    return [LETTERS[word] for word in reversed(words)]


def _pack(found: list[tuple[int, int]], device: Device) -> npt.NDArray[np.int64]:
    """A field's second piece lies above its first. MOP4CLXOR's banks are xored with column bits."""
    packed = np.zeros((6, 7), np.int64)
    position = 0
    below: dict[int, int] = {}
    for which, width in found:
        if which in below:
            packed[which, HIGH], packed[which, HIGH_MASK] = position, (1 << width) - 1
            packed[which, PLACE] = below[which]
        else:
            packed[which, SHIFT], packed[which, MASK] = position, (1 << width) - 1
        below[which] = width
        position += width
    if device.mapping.lower() == XOR_NAME.lower():
        shift = 0
        for which in (RANK, GROUP, BANK):
            width = _bits(device)[which]
            packed[which, XOR], packed[which, XOR_MASK] = shift, (1 << width) - 1
            shift += width
    return packed
