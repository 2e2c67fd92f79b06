"""Plain memory traces: one burst a line, read in chunks, so that a trace of any length takes little memory.

`LD 0x40`, `ST 128` or `0x40 READ`; hex or decimal, any case, an optional earliest cycle as the third word,
`#` begins a comment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from accelsim.dram.scanning import UNUSUAL, scan
from accelsim.dram.timing import Device

BLOCK_BYTES = 1 << 20
LONGEST_LINE = 1 << 16
WORDS = {"LD": 0, "READ": 0, "RD": 0, "R": 0, "ST": 1, "WRITE": 1, "WR": 1, "W": 1}
LATEST_CYCLE = 1 << 40
EXPECTED = "'LD 0x40', 'ST 0x40' or '0x40 READ', with an optional cycle"


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Requests in the order of the trace: burst numbers, 1 for a write, earliest clocks; all int64 [n].

    `inside` of them had an address inside a burst, which was rounded down; `first_inside` is the line of
    the first of these, or 0.
    """

    lines: npt.NDArray[np.int64]
    writes: npt.NDArray[np.int64]
    earliest: npt.NDArray[np.int64]
    inside: int = 0
    first_inside: int = 0


def joined(first: Chunk, second: Chunk) -> Chunk:
    """The requests of both, in order; without a copy if there are none in the first."""
    if len(first.lines) == 0:
        return second
    return Chunk(
        lines=np.concatenate([first.lines, second.lines]),
        writes=np.concatenate([first.writes, second.writes]),
        earliest=np.concatenate([first.earliest, second.earliest]),
    )


def blocks(file: BinaryIO, *, name: str = "trace") -> Iterator[bytes]:
    """A file in blocks of whole lines. Raises ValueError for a line without an end: that is no trace."""
    rest = b""
    while read := file.read(BLOCK_BYTES):
        whole, newline, begun = (rest + read).rpartition(b"\n")
        if newline:
            yield whole + newline
        rest = begun
        if len(rest) > LONGEST_LINE:
            raise ValueError(f"{name} must have lines of at most {LONGEST_LINE} bytes, such as 'LD 0x40'")
    if rest:
        yield rest


def read_trace(text: Iterable[bytes], device: Device, *, name: str = "trace") -> Iterator[Chunk]:
    """The requests in blocks of whole lines, block by block.

    Raises ValueError with the line's number for a line that is none of a trace, and for an address
    beyond the device.
    """
    number = 0
    for block in text:
        chunk = _scanned(block, number, device)
        yield (
            _chunk(block.decode("ascii", "replace").split("\n"), number, device, name)
            if chunk is None
            else chunk
        )
        number += block.count(b"\n")


def _scanned(block: bytes, before: int, device: Device) -> Chunk | None:
    """The block's requests, or None if one is not written in the usual way."""
    most = block.count(b"\n") + 1
    lines, writes, earliest = (np.empty(most, np.int64) for _ in range(3))
    inside = np.zeros(2, np.int64)
    letters = np.frombuffer(block, np.uint8)
    count = scan(letters, device.burst_bytes, device.capacity_bytes, lines, writes, earliest, inside)
    if count == UNUSUAL:
        return None
    return Chunk(
        lines=lines[:count],
        writes=writes[:count],
        earliest=earliest[:count],
        inside=int(inside[0]),
        first_inside=int(inside[1]) + before if inside[0] else 0,
    )


def _chunk(taken: list[str], before: int, device: Device, name: str) -> Chunk:
    addresses: list[int] = []
    writes: list[int] = []
    earliest: list[int] = []
    numbers: list[int] = []
    for number, line in enumerate(taken, before + 1):
        words = line.partition("#")[0].upper().split()
        if not words:
            continue
        try:
            write, address, cycle = _request(words)
        except ValueError:
            shown = line.strip()
            shown = shown if len(shown) <= 40 else shown[:37] + "..."
            raise ValueError(f"{name} line {number} must be {EXPECTED}, not {shown!r}") from None
        if not 0 <= address < device.capacity_bytes:
            raise ValueError(
                f"{name} line {number}: address must be from 0 to {device.capacity_bytes - 1:#x}"
                f" ({device.device}, {device.capacity_bytes >> 20} MiB), not {address:#x}"
            )
        addresses.append(address)
        writes.append(write)
        earliest.append(cycle)
        numbers.append(number)
    address_array = np.array(addresses, np.int64)
    inside = np.flatnonzero(address_array % device.burst_bytes)
    return Chunk(
        lines=address_array // device.burst_bytes,
        writes=np.array(writes, np.int64),
        earliest=np.array(earliest, np.int64),
        inside=len(inside),
        first_inside=numbers[inside[0]] if len(inside) else 0,
    )


def _request(words: list[str]) -> tuple[int, int, int]:
    """Write, address, cycle; ValueError for anything else."""
    if not 2 <= len(words) <= 3:
        raise ValueError
    first, second = words[0], words[1]
    write = WORDS.get(first)
    if write is None:
        write, second = WORDS.get(second), first
        if write is None:
            raise ValueError
    cycle = _number(words[2]) if len(words) == 3 else 0
    if not 0 <= cycle < LATEST_CYCLE:
        raise ValueError
    return write, _number(second), cycle


def _number(text: str) -> int:
    if "_" in text:
        raise ValueError
    return int(text, 16) if text.startswith(("0X", "-0X", "+0X")) else int(text)
