"""AXI4 read master: transfers of any length as bursts, several under way, their beats in order again.

A transfer is cut where a page ends and where a burst may be no longer. A burst is asked for only if its beats
have room, so that what comes back never waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accelsim.units.axi import (
    Port,
    Transfer,
    burst_beats,
    check_burst,
    check_count,
    check_port,
    rest_of,
    unpack_transfer,
)
from accelsim.units.reorder import Reorder, check_bursts
from accelsim.units.step import Row


@dataclass(frozen=True, kw_only=True)
class ReadMaster:
    """A port of `data_bits`, up to `outstanding` bursts of up to `burst_beats` beats under way.

    count_bits: of the number of beats of a transfer. Each burst under way has a number (AXI's ID) of its own.
    """

    address_bits: int = 34
    data_bits: int = 256
    burst_beats: int = 16
    outstanding: int = 16
    count_bits: int = 16

    def __post_init__(self) -> None:
        check_port(self.address_bits, self.data_bits)
        check_burst(self.burst_beats, self.data_bits)
        check_bursts(self.outstanding)
        check_count(self.count_bits)

    @property
    def port(self) -> Port:
        """Widths of the AXI port."""
        id_bits = max(1, (self.outstanding - 1).bit_length())
        return Port(address_bits=self.address_bits, data_bits=self.data_bits, id_bits=id_bits)

    @property
    def address_cycles(self) -> int:
        """From the clock that takes a transfer to the first that offers its address."""
        return 1

    @property
    def data_cycles(self) -> int:
        """From the clock that takes a beat of `r` to the first that offers it, if it is the next in order."""
        return 2


PRESETS = {
    "bursts": ReadMaster(),
    "single": ReadMaster(burst_beats=1, outstanding=64),
    "tiny": ReadMaster(address_bits=16, data_bits=32, burst_beats=4, outstanding=4, count_bits=6),
}


class Model:
    """The master clock by clock. Streams: `requests` in, `beats` out, `m_axi_ar` and `m_axi_r` of the port.

    beats: data, whether it came with an error, whether a transfer ends. Probe: level (bursts under way).
    """

    def __init__(self, parameters: ReadMaster) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """No transfer, nothing under way."""
        self._left: Transfer | None = None
        self._order = Reorder(self.parameters.outstanding)
        self._final = [False] * self.parameters.outstanding

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        parameters, order, left = self.parameters, self._order, self._left
        port = parameters.port
        row = {
            "requests_ready": int(left is None),
            "beats_valid": int(order.offered is not None),
            "beats_payload": 0,
            "m_axi_ar_valid": int(left is not None and order.room),
            "m_axi_ar_payload": 0,
            "m_axi_r_ready": 1,
            "level": order.level,
        }
        if order.offered is not None:
            row["beats_payload"] = order.offered | (order.ends and self._final[order.oldest]) << (
                parameters.data_bits + 1
            )
        reserves = 0
        if left is not None and order.room:
            burst = burst_beats(port, left.address, left.beats, parameters.burst_beats)
            row["m_axi_ar_payload"] = port.pack_address(left.address, order.next_number, burst)
            if inputs["m_axi_ar_ready"]:
                reserves = burst
                self._left = rest_of(port, left, burst)
                self._final[order.next_number] = self._left is None
                row["requests_ready"] = int(self._left is None)
        if row["requests_ready"] and inputs["requests_valid"]:
            self._left = unpack_transfer(port, inputs["requests_payload"])
        arrives = None
        if inputs["m_axi_r_valid"]:
            answer = port.unpack_read(inputs["m_axi_r_payload"])
            arrives = answer.identity, answer.data | answer.error << parameters.data_bits
        order.step(reserves=reserves, arrives=arrives, takes=bool(inputs["beats_ready"]))
        return row


def cycles(parameters: ReadMaster, transfers: Sequence[Transfer], latency: int) -> int:
    """Clocks from the first transfer offered to its last beat taken; nobody waits.

    latency: clocks from the one that takes an address to the first in which its data is on `r`, which gives
    a beat a clock, burst after burst. A burst's number is free again when its last beat has been taken.
    """
    asked, data = 0, 0
    taken: list[int] = []
    for transfer in transfers:
        address, beats = transfer
        # A transfer is taken in the clock that asks for the last burst of the one before.
        asked = max(asked, 1)
        while beats:
            burst = burst_beats(parameters.port, address, beats, parameters.burst_beats)
            asked += 1
            if len(taken) >= parameters.outstanding:
                asked = max(asked, taken[-parameters.outstanding] + 1)
            data = max(data, asked + latency - 1) + burst
            taken.append(data + parameters.data_cycles)
            address, beats = address + burst * parameters.port.bytes, beats - burst
    return taken[-1] if taken else 0
