"""AXI4 as the masters speak it: the widths of a port, and what a payload of each channel holds.

Bursts are INCR, beats as wide as the port. A kit's stream carries a channel (`m_axi_ar`), its payload the
fields that are not constant, lowest first: address and data channels as in AMBA AXI4 (IHI 0022H), table A2-2
to A2-6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from accelsim.units.checks import require_power_of_two, require_range

PAGE_BYTES = 4096
"""No burst crosses a multiple of it (A3.4.1)."""
LONGEST_BURST = 256
LENGTH_BITS, RESPONSE_BITS = 8, 2
LARGEST_ADDRESS_BITS, LARGEST_DATA_BITS, LARGEST_COUNT_BITS = 64, 1024, 24


@dataclass(frozen=True, kw_only=True)
class Port:
    """Widths of an AXI4 port."""

    address_bits: int
    data_bits: int
    id_bits: int

    @property
    def bytes(self) -> int:
        """Of a beat."""
        return self.data_bits // 8

    def pack_address(self, address: int, identity: int, beats: int) -> int:
        """A payload of `ar` or `aw`."""
        return address | identity << self.address_bits | (beats - 1) << self.address_bits + self.id_bits

    def unpack_read(self, payload: int) -> Answer:
        """A payload of `r`."""
        above = payload >> self.data_bits
        response = above >> self.id_bits
        return Answer(
            data=payload & (1 << self.data_bits) - 1,
            identity=above & (1 << self.id_bits) - 1,
            error=bool(response & 2),
            last=bool(response >> RESPONSE_BITS),
        )

    def pack_write(self, beat: int, last: bool) -> int:
        """A payload of `w` with all its bytes."""
        above = (1 << self.bytes) - 1 | last << self.bytes
        return beat | above << self.data_bits

    def failed(self, payload: int) -> bool:
        """Whether a payload of `b` says that something went wrong."""
        return bool(payload >> self.id_bits & 2)


class Answer(NamedTuple):
    """A beat of `r`."""

    data: int
    identity: int
    error: bool
    last: bool


class Transfer(NamedTuple):
    """What a master is asked for: `beats` beats, one at least, from `address`, a multiple of a beat."""

    address: int
    beats: int


def pack_transfer(port: Port, transfer: Transfer) -> int:
    """Payload of a master's `requests`."""
    return transfer.address | transfer.beats << port.address_bits


def unpack_transfer(port: Port, payload: int) -> Transfer:
    """The transfer of a payload. ValueError for one without beats, or that begins within one."""
    transfer = Transfer(payload & (1 << port.address_bits) - 1, payload >> port.address_bits)
    if not transfer.beats or transfer.address % port.bytes:
        raise ValueError(f"a transfer must have a beat, and whole ones, not {transfer}")
    return transfer


def check_count(count_bits: int) -> None:
    """Refuse a number of beats that has no bits, or more than anybody asks for."""
    require_range("count_bits", count_bits, 1, LARGEST_COUNT_BITS)


def check_port(address_bits: int, data_bits: int) -> None:
    """Refuse widths that AXI4 does not have, and addresses that hold no page."""
    require_range("address_bits", address_bits, 12, LARGEST_ADDRESS_BITS)
    require_power_of_two("data_bits", data_bits, 8, LARGEST_DATA_BITS)


def burst_beats(port: Port, address: int, beats: int, longest: int) -> int:
    """Beats of the first burst of a transfer: it ends with its page, or is as long as a burst may be."""
    return min(beats, longest, (PAGE_BYTES - address % PAGE_BYTES) // port.bytes)


def rest_of(port: Port, transfer: Transfer, burst: int) -> Transfer | None:
    """What is left of a transfer behind a burst of so many beats; None if nothing is."""
    if burst == transfer.beats:
        return None
    return Transfer(transfer.address + burst * port.bytes, transfer.beats - burst)


def check_burst(longest: int, data_bits: int) -> None:
    """Refuse bursts that AXI4 does not have, or that are longer than a page."""
    most = min(LONGEST_BURST, PAGE_BYTES * 8 // data_bits)
    require_power_of_two("burst_beats", longest, 1, most)
