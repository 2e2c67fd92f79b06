"""Which bits of an address are channel, column, rank, bank group, bank and row.

A mapping is named by its order from the highest bit down, two letters each: Ch, Co, Ra (rank or
pseudo-channel), Bg (bank group), Ba (bank), Ro. `Ba` without `Bg` means both, the bank above its group.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelsim.compiled import inlined
from accelsim.dram.timing import Device
from accelsim.words import unknown

CHANNEL, COLUMN, RANK, GROUP, BANK, ROW = range(6)
LETTERS = {"ch": CHANNEL, "co": COLUMN, "ra": RANK, "bg": GROUP, "ba": BANK, "ro": ROW}
XOR_NAME = "MOP4CLXOR"
DEFAULT = "RoBaRaCoCh"
NAMES = (DEFAULT, "RoChRaBaBgCo", "RoCoRaBaCh", XOR_NAME)


# Columns of a mapping. Field = (line >> SHIFT & MASK) | (line >> HIGH & HIGH_MASK) << PLACE, then
# xored with (column >> XOR & XOR_MASK).
SHIFT, MASK, HIGH, HIGH_MASK, PLACE, XOR, XOR_MASK = range(7)


def mapping(name: str, device: Device) -> npt.NDArray[np.int64]:
    """The mapping of that name for a device: [6 fields, 7 columns], see above; `line` is a burst's number.

    Raises ValueError for a word that is neither a known name nor an order of all the fields.
    """
    bits = _bits(device)
    if name.lower() == XOR_NAME.lower():
        return _blocks_of_four(bits, device)
    return _pack([(which, bits[which]) for which in _order(name)])


@inlined
def field(mapped, line, which, column):
    """One field of the burst number `line`; `column` matters only where the mapping has an xor."""
    low = line >> mapped[which, SHIFT] & mapped[which, MASK]
    high = (line >> mapped[which, HIGH] & mapped[which, HIGH_MASK]) << mapped[which, PLACE]
    return (low | high) ^ (column >> mapped[which, XOR] & mapped[which, XOR_MASK])


def _bits(device: Device) -> dict[int, int]:
    counts = {
        CHANNEL: device.channels,
        COLUMN: device.columns,
        RANK: device.units,
        GROUP: device.bank_groups,
        BANK: device.banks,
        ROW: device.rows,
    }
    return {which: count.bit_length() - 1 for which, count in counts.items()}


def _order(name: str) -> list[int]:
    """Fields from the lowest bit up."""
    words = [name.lower()[i : i + 2] for i in range(0, len(name), 2)]
    if "bg" not in words and "ba" in words:
        words.insert(words.index("ba") + 1, "bg")
    if sorted(words) != sorted(LETTERS):
        raise ValueError(f"{unknown('mapping', name, NAMES)} (or any order of Ro Ba Bg Ra Co Ch)")
    return [LETTERS[word] for word in reversed(words)]


def _blocks_of_four(bits: dict[int, int], device: Device) -> npt.NDArray[np.int64]:
    """Four bursts of a row in one bank, then the next rank, group, bank; banks xored with column bits."""
    if bits[COLUMN] < 2:
        raise ValueError(
            f"mapping {XOR_NAME} needs >= 4 columns, not the {device.columns} of {device.device}"
        )
    low = [(CHANNEL, bits[CHANNEL]), (COLUMN, 2)]
    inner = [(which, bits[which]) for which in (RANK, GROUP, BANK)]
    packed = _pack([*low, *inner, (COLUMN, bits[COLUMN] - 2), (ROW, bits[ROW])])
    shift = 0
    for which, width in inner:
        packed[which, XOR], packed[which, XOR_MASK] = shift, (1 << width) - 1
        shift += width
    return packed


def _pack(pieces: list[tuple[int, int]]) -> npt.NDArray[np.int64]:
    """Pieces (field, width) from the lowest bit up; a field's second piece lies above its first."""
    packed = np.zeros((6, 7), np.int64)
    position = 0
    below: dict[int, int] = {}
    for which, width in pieces:
        if which in below:
            packed[which, HIGH], packed[which, HIGH_MASK] = position, (1 << width) - 1
            packed[which, PLACE] = below[which]
        else:
            packed[which, SHIFT], packed[which, MASK] = position, (1 << width) - 1
        below[which] = width
        position += width
    return packed
