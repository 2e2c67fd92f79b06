"""SpAtten's fetcher: from kept tokens to bursts on several channels, and their data in order again.

Source: HPCA 2021 SpAtten, section 4 (data fetcher) and Table I. Bursts are dealt to ports; a crossbar takes
each to the channel that its address names, another one brings its data back to its port. A port knows its
bursts by numbers, so a channel may answer in any order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from accelsim.units import crossbar
from accelsim.units.axi import Port, check_port
from accelsim.units.checks import require_power_of_two, require_range
from accelsim.units.crossbar import Crossbar
from accelsim.units.reorder import Reorder, check_bursts
from accelsim.units.step import Row

LARGEST_CHANNELS = 32


@dataclass(frozen=True, kw_only=True)
class Fetcher:
    """`channels` AXI ports of `beat_bits`, a burst of memory a beat, `ports` ports with `slots` bursts each.

    address_bits: of the whole memory, whose beats are dealt to the channels in turn. fifo_depth: addresses
    before the crossbar, at each port. position_bits: of a token's position; burst_bits: of numbers of bursts.
    With one channel and one port there is no crossbar.
    """

    address_bits: int = 34
    beat_bits: int = 256
    channels: int = 2
    ports: int = 4
    slots: int = 64
    fifo_depth: int = 4
    position_bits: int = 12
    burst_bits: int = 4

    def __post_init__(self) -> None:
        check_port(self.address_bits, self.beat_bits)
        check_bursts(self.slots, "slots")
        require_power_of_two("channels", self.channels, 1, LARGEST_CHANNELS)
        require_power_of_two("ports", self.ports, 1, LARGEST_CHANNELS)
        require_range("fifo_depth", self.fifo_depth, 2, 64)
        require_range("position_bits", self.position_bits, 1, 20)
        require_range("burst_bits", self.burst_bits, 1, 6)

    @property
    def crossed(self) -> bool:
        """Whether there are crossbars."""
        return self.channels > 1 or self.ports > 1

    @property
    def channel_bits(self) -> int:
        """Of an address, those that name the channel."""
        return self.channels.bit_length() - 1

    @property
    def beat_address_bits(self) -> int:
        """Of the number of a beat of memory."""
        return self.address_bits - (self.beat_bits // 8).bit_length() + 1

    @property
    def slot_bits(self) -> int:
        """Of a burst's number at its port."""
        return self.slots.bit_length() - 1

    @property
    def port(self) -> Port:
        """Widths of the AXI port of a channel: a burst's ID is its number, and above it its port."""
        return Port(
            address_bits=self.address_bits - self.channel_bits,
            data_bits=self.beat_bits,
            id_bits=self.slot_bits + self.ports.bit_length() - 1,
        )

    @property
    def addresses(self) -> Crossbar:
        """From ports to channels: an ID, and above it the number of a beat."""
        return Crossbar(
            inputs=self.ports,
            outputs=self.channels,
            bits=self.port.id_bits + self.beat_address_bits,
            position=self.port.id_bits,
            input_depth=self.fifo_depth,
        )

    @property
    def answers(self) -> Crossbar:
        """From channels to ports: data, error, and the ID, whose upper bits are the port."""
        return Crossbar(
            inputs=self.channels,
            outputs=self.ports,
            bits=self.beat_bits + 1 + self.port.id_bits,
            position=self.beat_bits + 1 + self.slot_bits,
            input_depth=0,
        )

    @property
    def address_cycles(self) -> int:
        """From the clock that takes a token to the first that offers its address to a channel."""
        return 1 + self.crossed

    @property
    def data_cycles(self) -> int:
        """From the clock that takes a beat from a channel to the first that offers it, in its turn."""
        return 2


PRESETS = {
    "channels": Fetcher(),
    "single": Fetcher(channels=1, ports=1, slots=128),
    "tiny": Fetcher(
        address_bits=14, beat_bits=32, ports=2, slots=4, fifo_depth=2, position_bits=5, burst_bits=3
    ),
}


class Request(NamedTuple):
    """A payload of `requests`. Token number i of it, at position p, asks for the bursts from beat
    base + p x stride + offsets[i mod 2] on, counts[i mod 2] of them, one at least."""

    base: int
    stride: int
    offsets: tuple[int, int]
    counts: tuple[int, int]


class Token(NamedTuple):
    """A payload of `tokens`: a position, and whether it is the last of its request."""

    position: int
    last: bool


class Model:
    """The fetcher clock by clock. Streams: `requests`, `tokens` in, `beats` out, and a port for each channel.

    beats: data, whether it came with an error, whether a request ends. Probes: level (bursts under way),
    moves (one more in this clock; `moved` says the same of the clock that was stepped last).
    """

    def __init__(self, parameters: Fetcher) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """No request, nothing under way."""
        parameters = self.parameters
        self._request: Request | None = None
        self._odd = False
        self._next = self._left = 0
        self._last = False
        self._deal = self._gather = 0
        self.moved = False
        self._orders = [Reorder(parameters.slots) for _ in range(parameters.ports)]
        self._finals = [[False] * parameters.slots for _ in range(parameters.ports)]
        self._addresses = crossbar.Model(parameters.addresses)
        self._answers = crossbar.Model(parameters.answers)

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        parameters, order = self.parameters, self._orders[self._deal]
        gathered = self._orders[self._gather]
        row = {"level": sum(one.level for one in self._orders)}
        row |= {"beats_valid": int(gathered.offered is not None), "beats_payload": 0}
        final = self._finals[self._gather][gathered.oldest]
        if gathered.offered is not None:
            row["beats_payload"] = gathered.offered | final << parameters.beat_bits + 1
        offers = self._left > 0 and order.room
        identity = order.next_number | self._deal << parameters.slot_bits
        moves, row_of_addresses = self._send(inputs, offers, identity)
        row |= row_of_addresses
        arrivals, row_of_answers = self._receive(inputs)
        row |= row_of_answers
        takes = [bool(inputs["beats_ready"]) and port == self._gather for port in range(parameters.ports)]
        self.moved = moves
        ends = moves and self._left == 1
        request_final = ends and self._last
        if moves:
            self._finals[self._deal][order.next_number] = request_final
        reserves = [int(moves and port == self._deal) for port in range(parameters.ports)]
        if row["beats_valid"] and inputs["beats_ready"]:
            self._gather = 0 if final else (self._gather + 1) % parameters.ports
        for port, one in enumerate(self._orders):
            one.step(reserves=reserves[port], arrives=arrivals.get(port), takes=takes[port])
        if moves:
            self._deal = 0 if request_final else (self._deal + 1) % parameters.ports
            self._next, self._left = self._next + 1, self._left - 1
        # A token comes with the last burst of the one before.
        row["moves"] = int(moves)
        row["tokens_ready"] = int(self._request is not None and self._left == 0)
        self._take(inputs, row)
        return row

    @property
    def offered(self) -> int | None:
        """What is offered on `beats` in this clock, without `last`."""
        return self._orders[self._gather].offered

    def _take(self, inputs: Mapping[str, int], row: Row) -> None:
        """The next token, and the next request."""
        token = None
        if row["tokens_ready"] and inputs["tokens_valid"] and self._request is not None:
            token = unpack_token(self.parameters, inputs["tokens_payload"])
            request, odd = self._request, self._odd
            self._next = request.base + token.position * request.stride + request.offsets[odd]
            self._next &= (1 << self.parameters.beat_address_bits) - 1
            self._left, self._last, self._odd = request.counts[odd], token.last, not odd
        row["requests_ready"] = int(self._request is None or (token is not None and token.last))
        if row["requests_ready"]:
            self._request, self._odd = None, False
            if inputs["requests_valid"]:
                self._request = unpack_request(self.parameters, inputs["requests_payload"])

    def _send(self, inputs: Mapping[str, int], offers: bool, identity: int) -> tuple[bool, Row]:
        """Whether the next address leaves its port, and what the channels see."""
        parameters, port = self.parameters, self.parameters.port
        if not parameters.crossed:
            payload = port.pack_address(self._next * port.bytes, identity, 1) if offers else 0
            row = {"m_axi_0_ar_valid": int(offers), "m_axi_0_ar_payload": payload}
            return offers and bool(inputs["m_axi_0_ar_ready"]), row
        payload = identity | self._next << port.id_bits
        inner = {}
        for number in range(parameters.ports):
            inner[f"request_{number}_valid"] = int(offers and number == self._deal)
            inner[f"request_{number}_payload"] = payload
        for channel in range(parameters.channels):
            inner[f"granted_{channel}_ready"] = inputs[f"m_axi_{channel}_ar_ready"]
        found, row = self._addresses.step(inner), {}
        for channel in range(parameters.channels):
            row[f"m_axi_{channel}_ar_valid"] = found[f"granted_{channel}_valid"]
            beat = found[f"granted_{channel}_payload"] & (1 << parameters.addresses.bits) - 1
            number = beat & (1 << port.id_bits) - 1
            place = beat >> port.id_bits + parameters.channel_bits
            row[f"m_axi_{channel}_ar_payload"] = port.pack_address(place * port.bytes, number, 1)
        return offers and bool(found[f"request_{self._deal}_ready"]), row

    def _receive(self, inputs: Mapping[str, int]) -> tuple[dict[int, tuple[int, int]], Row]:
        """Of each port the (number, beat) that arrives, and what the channels see."""
        parameters, port = self.parameters, self.parameters.port
        inner = {f"granted_{number}_ready": 1 for number in range(parameters.ports)}
        for channel in range(parameters.channels):
            answer = port.unpack_read(inputs[f"m_axi_{channel}_r_payload"])
            inner[f"request_{channel}_valid"] = inputs[f"m_axi_{channel}_r_valid"]
            inner[f"request_{channel}_payload"] = (
                answer.data | (answer.error | answer.identity << 1) << parameters.beat_bits
            )
        found, arrivals = self._answers.step(inner), {}
        for number in range(parameters.ports):
            if found[f"granted_{number}_valid"]:
                payload = found[f"granted_{number}_payload"]
                slot = payload >> parameters.beat_bits + 1 & parameters.slots - 1
                arrivals[number] = slot, payload & (1 << parameters.beat_bits + 1) - 1
        ready = {
            f"m_axi_{channel}_r_ready": found[f"request_{channel}_ready"] if parameters.crossed else 1
            for channel in range(parameters.channels)
        }
        return arrivals, ready


def pack_request(parameters: Fetcher, request: Request) -> int:
    """Payload of `requests`."""
    packed, place = request.base, parameters.beat_address_bits
    for value in (request.stride, *request.offsets, *request.counts):
        packed |= value << place
        place += parameters.burst_bits
    return packed


def unpack_request(parameters: Fetcher, payload: int) -> Request:
    """The request of a payload. ValueError for one whose tokens ask for nothing."""
    base, payload = payload & (1 << parameters.beat_address_bits) - 1, payload >> parameters.beat_address_bits
    fields = [
        payload >> place * parameters.burst_bits & (1 << parameters.burst_bits) - 1 for place in range(5)
    ]
    stride, first, second, one, other = fields
    if not one or not other:
        raise ValueError(f"a token must ask for a burst at least, not {one} and {other}")
    return Request(base, stride, (first, second), (one, other))


def pack_token(parameters: Fetcher, token: Token) -> int:
    """Payload of `tokens`."""
    return token.position | token.last << parameters.position_bits


def unpack_token(parameters: Fetcher, payload: int) -> Token:
    """The token of a payload."""
    return Token(payload & (1 << parameters.position_bits) - 1, bool(payload >> parameters.position_bits))


def cycles(parameters: Fetcher, requests: Sequence[Sequence[int]], latency: int) -> int:
    """Clocks from the first request offered to its last beat taken; nobody waits.

    requests: of each the bursts of every token. latency: clocks from the one that takes an address to the
    first in which its data is on `r`, a beat a clock. A beat is sent a clock, so the crossbars hold nobody.
    """
    asked, sent, token, taken = 1, 0, 0, 0
    ports: list[list[int]] = [[] for _ in range(parameters.ports)]
    for counts in requests:
        deal = 0
        for count in counts:
            token = max(token + 1, asked + 1, sent)
            sent = max(sent, token)
            for _ in range(count):
                sent += 1
                mine = ports[deal % parameters.ports]
                if len(mine) >= parameters.slots:
                    sent = max(sent, mine[-parameters.slots] + 1)
                taken = max(taken + 1, sent + parameters.crossed + latency + parameters.data_cycles)
                mine.append(taken)
                deal += 1
        asked = token
    return taken
