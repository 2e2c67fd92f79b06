"""Transfers cut into the bursts that AXI allows: both masters begin with one of these."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.axi import PAGE_BYTES


class Cutter(Component):
    """requests: transfers. bursts: each ends with its page, or is as long as a burst may be, or is the last.

    Latency: a clock. Throughput: a burst a clock; a transfer costs no clock of its own.
    """

    def __init__(self, parameters):
        self.parameters = parameters
        super().__init__(
            {
                "requests": In(stream.Signature(transfer_layout(parameters))),
                "bursts": Out(stream.Signature(burst_layout(parameters))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, burst = self.parameters, self.bursts.payload
        longest, width = parameters.burst_beats, parameters.port.bytes
        page_beats = PAGE_BYTES // width
        offset_bits = width.bit_length() - 1

        # What is left of the transfer, and of it the next burst.
        left = Signal(transfer_layout(parameters), reset_less=True)
        offset = left.address[offset_bits : offset_bits + page_beats.bit_length() - 1]
        # From the lowest bits alone: whether a burst of full length stays within its page.
        room = Signal(range(page_beats + 1))
        most = Signal(range(longest + 1))
        m.d.comb += [
            room.eq(page_beats - offset),
            most.eq(Mux(room < longest, room, longest)),
            burst.address.eq(left.address),
            burst.last.eq(left.beats <= most),
            burst.beats.eq(Mux(burst.last, left.beats, most)),
        ]

        moves = self.bursts.valid & self.bursts.ready
        m.d.comb += self.requests.ready.eq(~self.bursts.valid | (moves & burst.last))
        with m.If(self.requests.ready):
            m.d.sync += [self.bursts.valid.eq(self.requests.valid), left.eq(self.requests.payload)]
        with m.Elif(moves):
            m.d.sync += [
                left.address.eq(left.address + Cat(Const(0, offset_bits), burst.beats)),
                left.beats.eq(left.beats - burst.beats),
            ]
        return m


def transfer_layout(parameters):
    """A transfer: address of its first beat, a multiple of a beat's bytes, and how many beats."""
    return data.StructLayout({"address": parameters.address_bits, "beats": parameters.count_bits})


def burst_layout(parameters):
    """A burst: address of its first beat, how many beats, and whether nothing of its transfer is left."""
    beats = range(parameters.burst_beats + 1)
    return data.StructLayout({"address": parameters.address_bits, "beats": beats, "last": 1})
