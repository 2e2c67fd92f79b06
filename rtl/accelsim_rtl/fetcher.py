# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds buffers that nobody elaborates.
"""SpAtten's fetcher: kept tokens in, bursts on all channels, their data in order out."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.fetcher import Fetcher as Parameters
from accelsim_rtl.axi.channels import read_channels
from accelsim_rtl.axi.reorder_buffer import ReorderBuffer
from accelsim_rtl.crossbar import Crossbar


class Fetcher(Component):
    """requests: where records lie and which of their bursts tokens need. tokens: a position each, `last`.

    m_axi_0, m_axi_1, ...: a bus for each channel, whose addresses are those of the channel alone. beats: data
    in the order of the tokens, `error`, `last` of a request. Probe: level (bursts under way).
    Throughput: a burst a clock, and no clock for a token or a request. Latency: `address_cycles` from a token
    to its address, `data_cycles` from a beat to its turn.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        received = data.StructLayout({"data": parameters.beat_bits, "error": 1})
        self.orders = [
            ReorderBuffer(received, bursts=parameters.slots, beats=1) for _ in range(parameters.ports)
        ]
        buses = {}
        for channel in range(parameters.channels):
            buses |= read_channels(parameters.port, f"m_axi_{channel}")
        super().__init__(
            {
                "requests": In(stream.Signature(request_layout(parameters))),
                "tokens": In(stream.Signature(token_layout(parameters))),
                "beats": Out(stream.Signature(beats_layout(parameters))),
                **buses,
                "level": Out(range(parameters.slots * parameters.ports + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, port = self.parameters, self.parameters.port

        # A request, then its tokens: of each the next beat and how many are left.
        there = Signal()
        odd = Signal()
        request = Signal(request_layout(parameters), reset_less=True)
        next_beat = Signal(parameters.beat_address_bits, reset_less=True)
        left = Signal(parameters.burst_bits)
        last = Signal(reset_less=True)
        moves = Signal()
        ends = Signal()
        takes = Signal()
        final = Signal()
        m.d.comb += [
            ends.eq(moves & (left == 1)),
            final.eq(ends & last),
            self.tokens.ready.eq(there & ((left == 0) | ends)),
            takes.eq(self.tokens.valid & self.tokens.ready),
            self.requests.ready.eq(~there | (takes & self.tokens.payload.last)),
        ]
        with m.If(takes):
            first = request.base + self.tokens.payload.position * request.stride
            m.d.sync += [
                next_beat.eq(first + Mux(odd, request.offset_1, request.offset_0)),
                left.eq(Mux(odd, request.count_1, request.count_0)),
                last.eq(self.tokens.payload.last),
                odd.eq(~odd),
            ]
        with m.Elif(moves):
            m.d.sync += [next_beat.eq(next_beat + 1), left.eq(left - 1)]
        with m.If(self.requests.ready):
            m.d.sync += [there.eq(self.requests.valid), request.eq(self.requests.payload), odd.eq(0)]

        # Bursts are dealt to the ports, and their data is gathered in the same turns.
        deal = Signal(range(parameters.ports))
        gather = Signal(range(parameters.ports))
        numbers = Array(order.number for order in self.orders)
        offers = Signal()
        identity = Signal(port.id_bits)
        m.d.comb += [
            offers.eq((left != 0) & Array(order.room for order in self.orders)[deal]),
            identity.eq(Cat(numbers[deal], deal)),
        ]
        with m.If(moves):
            m.d.sync += deal.eq(Mux(final, 0, deal + 1))
        given = Array(order.given.payload.beat.as_value() for order in self.orders)
        finals = []
        for number, order in enumerate(self.orders):
            m.submodules[f"order_{number}"] = order
            mine = Signal(parameters.slots, name=f"finals_{number}")
            finals.append(mine.bit_select(order.oldest, 1))
            m.d.comb += [
                order.reserves.eq(moves & (deal == number if parameters.ports > 1 else 1)),
                order.given.ready.eq(self.beats.ready & (gather == number if parameters.ports > 1 else 1)),
            ]
            with m.If(order.reserves):
                m.d.sync += mine.bit_select(order.number, 1).eq(final)
        payload = self.beats.payload
        m.d.comb += [
            self.beats.valid.eq(Array(order.given.valid for order in self.orders)[gather]),
            Cat(payload.data, payload.error).eq(given[gather]),
            payload.last.eq(Array(finals)[gather]),
            self.level.eq(sum(order.level for order in self.orders)),
        ]
        with m.If(self.beats.valid & self.beats.ready):
            m.d.sync += gather.eq(Mux(payload.last, 0, gather + 1))
        if parameters.crossed:
            self._cross(m, offers, deal, identity, next_beat, moves)
        else:
            self._connect(m, offers, identity, next_beat, moves)
        return m

    def _connect(self, m, offers, identity, next_beat, moves):
        """One port, one channel."""
        address, answer, (order,) = self.m_axi_0_ar, self.m_axi_0_r, self.orders
        m.d.comb += [
            address.valid.eq(offers),
            address.payload.addr.eq(Cat(Const(0, self._offset_bits), next_beat)),
            address.payload.id.eq(identity),
            moves.eq(offers & address.ready),
            answer.ready.eq(1),
            order.arrives.eq(answer.valid),
            order.burst.eq(answer.payload.id),
            order.beat.data.eq(answer.payload.data),
            order.beat.error.eq(answer.payload.resp[1]),
        ]

    def _cross(self, m, offers, deal, identity, next_beat, moves):
        """Addresses to the channels that they name, data to the ports that its IDs name."""
        parameters, id_bits = self.parameters, self.parameters.port.id_bits
        m.submodules.addresses = addresses = Crossbar(parameters.addresses)
        m.submodules.answers = answers = Crossbar(parameters.answers)
        ports = [getattr(addresses, f"request_{number}") for number in range(parameters.ports)]
        for number, one in enumerate(ports):
            m.d.comb += [
                one.valid.eq(offers & (deal == number if parameters.ports > 1 else 1)),
                one.payload.eq(Cat(identity, next_beat)),
            ]
        m.d.comb += moves.eq(offers & Array(one.ready for one in ports)[deal])
        for channel in range(parameters.channels):
            address, granted = getattr(self, f"m_axi_{channel}_ar"), getattr(addresses, f"granted_{channel}")
            place = granted.payload.item[id_bits + parameters.channel_bits :]
            m.d.comb += [
                address.valid.eq(granted.valid),
                granted.ready.eq(address.ready),
                address.payload.addr.eq(Cat(Const(0, self._offset_bits), place)),
                address.payload.id.eq(granted.payload.item[:id_bits]),
            ]
            answer, request = getattr(self, f"m_axi_{channel}_r"), getattr(answers, f"request_{channel}")
            m.d.comb += [
                request.valid.eq(answer.valid),
                answer.ready.eq(request.ready),
                request.payload.eq(Cat(answer.payload.data, answer.payload.resp[1], answer.payload.id)),
            ]
        for number, order in enumerate(self.orders):
            granted = getattr(answers, f"granted_{number}")
            beat, slot = (
                granted.payload.item[: parameters.beat_bits + 1],
                granted.payload.item[parameters.beat_bits + 1 :][: parameters.slot_bits],
            )
            m.d.comb += [
                granted.ready.eq(1),
                order.arrives.eq(granted.valid),
                order.burst.eq(slot),
                order.beat.as_value().eq(beat),
            ]

    @property
    def _offset_bits(self):
        return self.parameters.port.bytes.bit_length() - 1


def request_layout(parameters):
    """Where records lie, and which bursts even and odd tokens of a request need: all in beats of memory."""
    fields = ("stride", "offset_0", "offset_1", "count_0", "count_1")
    return data.StructLayout(
        {"base": parameters.beat_address_bits} | dict.fromkeys(fields, parameters.burst_bits)
    )


def token_layout(parameters):
    """A token's position, and whether it is the last of its request."""
    return data.StructLayout({"position": parameters.position_bits, "last": 1})


def beats_layout(parameters):
    """A beat of memory, whether it came with an error, and whether a request ends."""
    return data.StructLayout({"data": parameters.beat_bits, "error": 1, "last": 1})
