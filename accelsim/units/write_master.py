"""AXI4 write master: transfers of any length as bursts, several under way, an answer to each transfer.

Bursts have one number (AXI's ID), so their answers come in order. Data goes out from the clock on behind the
first that offers its address, whether that is taken or not: the bus may wait for data (AXI4, A3.3.1).
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
from accelsim.units.reorder import check_bursts
from accelsim.units.step import Row


@dataclass(frozen=True, kw_only=True)
class WriteMaster:
    """A port of `data_bits`, up to `outstanding` bursts of up to `burst_beats` beats under way.

    count_bits: of the number of beats of a transfer.
    """

    address_bits: int = 34
    data_bits: int = 256
    burst_beats: int = 16
    outstanding: int = 8
    count_bits: int = 16

    def __post_init__(self) -> None:
        check_port(self.address_bits, self.data_bits)
        check_burst(self.burst_beats, self.data_bits)
        check_bursts(self.outstanding)
        check_count(self.count_bits)

    @property
    def port(self) -> Port:
        """Widths of the AXI port."""
        return Port(address_bits=self.address_bits, data_bits=self.data_bits, id_bits=1)

    @property
    def address_cycles(self) -> int:
        """From the clock that takes a transfer to the first that offers its address; data comes behind."""
        return 1

    @property
    def answer_cycles(self) -> int:
        """From the clock that takes the last answer of a transfer to the first that offers its own."""
        return 1


PRESETS = {
    "bursts": WriteMaster(),
    "tiny": WriteMaster(address_bits=16, data_bits=32, burst_beats=4, outstanding=2, count_bits=6),
}


class Model:
    """The master clock by clock. Streams: `requests`, `beats` in, `done` out, and those of the AXI port.

    done: whether something of the transfer went wrong. Probe: level (bursts without an answer).
    """

    def __init__(self, parameters: WriteMaster) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """No transfer, nothing under way."""
        self._left: Transfer | None = None
        self._unsent: list[int] = []
        self._finals: list[bool] = []
        self._offered = False
        self._sent = 0
        self._failed = False
        self._done: int | None = None

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        parameters, left, unsent = self.parameters, self._left, self._unsent
        port, level = parameters.port, len(self._finals)
        offers = bool(unsent and inputs["beats_valid"])
        last = bool(unsent) and self._sent + 1 == unsent[0]
        asks = left is not None and (self._offered or level < parameters.outstanding)
        row = {
            "requests_ready": int(left is None),
            "beats_ready": int(bool(unsent) and bool(inputs["m_axi_w_ready"])),
            "done_valid": int(self._done is not None),
            "done_payload": self._done or 0,
            "m_axi_aw_valid": int(asks),
            "m_axi_aw_payload": 0,
            "m_axi_w_valid": int(offers),
            "m_axi_w_payload": port.pack_write(inputs["beats_payload"], last) if offers else 0,
            "m_axi_b_ready": int(self._done is None or bool(inputs["done_ready"])),
            "level": level,
        }
        if offers and inputs["m_axi_w_ready"]:
            self._sent = 0 if last else self._sent + 1
            if last:
                unsent.pop(0)
        if inputs["done_ready"]:
            self._done = None
        if row["m_axi_b_ready"] and inputs["m_axi_b_valid"]:
            self._failed |= port.failed(inputs["m_axi_b_payload"])
            if self._finals.pop(0):
                self._done, self._failed = int(self._failed), False
        if left is not None and asks:
            burst = burst_beats(port, left.address, left.beats, parameters.burst_beats)
            row["m_axi_aw_payload"] = port.pack_address(left.address, 0, burst)
            if not self._offered:
                unsent.append(burst)
                self._finals.append(burst == left.beats)
            self._offered = not inputs["m_axi_aw_ready"]
            if not self._offered:
                self._left = rest_of(port, left, burst)
                row["requests_ready"] = int(self._left is None)
        if row["requests_ready"] and inputs["requests_valid"]:
            self._left = unpack_transfer(port, inputs["requests_payload"])
        return row


def cycles(parameters: WriteMaster, transfers: Sequence[Transfer], latency: int) -> int:
    """Clocks from the first transfer offered to the last answer taken; nobody waits, beats are always there.

    latency: clocks from the one that takes a burst's last beat to the first in which its answer is on `b`.
    """
    asked, sent = 0, 0
    back: list[int] = []
    for address, beats in transfers:
        asked = max(asked, 1)
        while beats:
            burst = burst_beats(parameters.port, address, beats, parameters.burst_beats)
            asked += 1
            if len(back) >= parameters.outstanding:
                asked = max(asked, back[-parameters.outstanding] + 1)
            sent = max(sent, asked) + burst
            back.append(max(sent + latency, back[-1] + 1 if back else 0))
            address, beats = address + burst * parameters.port.bytes, beats - burst
    return back[-1] + parameters.answer_cycles if back else 0
