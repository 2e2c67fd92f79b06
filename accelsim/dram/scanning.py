"""The lines of a plain trace, compiled: those written in the usual way; the others are left to `trace`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelsim.compiled import inlined, kernel
from accelsim.dram.banks import Integers

Letters = npt.NDArray[np.uint8]

NEWLINE, SPACE, TAB, RETURN, HASH = 10, 32, 9, 13, 35
UNUSUAL = -1
# So many digits surely fit 63 bits.
MOST_DIGITS = 15


@kernel
def scan(
    text: Letters,
    burst_bytes: int,
    capacity: int,
    lines: Integers,
    writes: Integers,
    earliest: Integers,
    inside: Integers,
) -> int:
    """The requests of `text` (uint8, whole lines) into the arrays: how many, or UNUSUAL.

    `inside` gets how many addresses lie inside a burst, and the line of the first of these, from 1.
    """
    i, count, number, size = 0, 0, 0, text.shape[0]
    while i < size:
        number += 1
        words, write, address, cycle = 0, -1, -1, 0
        while i < size and text[i] != NEWLINE and text[i] != HASH:
            if _is_blank(text[i]):
                i += 1
                continue
            end = i
            while end < size and text[end] != NEWLINE and text[end] != HASH and not _is_blank(text[end]):
                end += 1
            words += 1
            value = _number(text, i, end)
            if words <= 2 and value >= 0 and address < 0:
                address = value
            elif words <= 2 and write < 0:
                write = _word(text, i, end)
                if write < 0:
                    return UNUSUAL
            elif words == 3 and value >= 0:
                cycle = value
            else:
                return UNUSUAL
            i = end
        while i < size and text[i] != NEWLINE:
            i += 1
        i += 1
        if words == 0:
            continue
        if write < 0 or address < 0 or address >= capacity or cycle >= 1 << 40:
            return UNUSUAL
        if address % burst_bytes:
            inside[0] += 1
            if inside[1] == 0:
                inside[1] = number
        lines[count], writes[count], earliest[count] = address // burst_bytes, write, cycle
        count += 1
    return count


@inlined
def _is_blank(letter):
    return letter in (SPACE, TAB, RETURN)


@inlined
def _number(text, begin, end):
    """A hexadecimal or decimal number, or UNUSUAL."""
    hexadecimal = end - begin > 2 and text[begin] == 48 and (text[begin + 1] | 32) == 120
    if hexadecimal:
        begin += 2
    base, value = 16 if hexadecimal else 10, 0
    if end - begin > MOST_DIGITS:
        return UNUSUAL
    for i in range(begin, end):
        digit = int(text[i]) - 48
        if digit > 9:
            digit = (int(text[i]) | 32) - 87
            if digit < 10:
                return UNUSUAL
        if digit < 0 or digit >= base:
            return UNUSUAL
        value = value * base + digit
    return value


@inlined
def _word(text, begin, end):
    """0 for LD, READ, RD and R, 1 for ST, WRITE, WR and W, in any case; else UNUSUAL."""
    packed = 0
    if end - begin > 5:
        return UNUSUAL
    for i in range(begin, end):
        packed = packed << 8 | (int(text[i]) & 0xDF)
    if packed in (0x4C44, 0x52454144, 0x5244, 0x52):
        return 0
    if packed in (0x5354, 0x5752495445, 0x5752, 0x57):
        return 1
    return UNUSUAL
