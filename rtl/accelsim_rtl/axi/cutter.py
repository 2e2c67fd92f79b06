"""Where a transfer is cut into bursts: both masters have one of these."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.axi import PAGE_BYTES


class Cutter(Component):
    """The first burst of a transfer: it ends with its page, or is as long as a burst may be.

    beats: its length; last: nothing is left; behind: the address that follows.
    """

    def __init__(self, parameters):
        self.parameters = parameters
        super().__init__(
            {
                "address": In(parameters.address_bits),
                "left": In(parameters.count_bits),
                "beats": Out(range(parameters.burst_beats + 1)),
                "last": Out(1),
                "behind": Out(parameters.address_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters = self.parameters
        longest, width = parameters.burst_beats, parameters.port.bytes
        page_beats = PAGE_BYTES // width
        offset_bits = width.bit_length() - 1
        offset = self.address[offset_bits : offset_bits + page_beats.bit_length() - 1]
        # From the lowest bits alone: whether a burst of full length stays within its page.
        room = Signal(range(page_beats + 1))
        most = Signal(range(longest + 1))
        m.d.comb += [
            room.eq(page_beats - offset),
            most.eq(Mux(room < longest, room, longest)),
            self.last.eq(self.left <= most),
            self.beats.eq(Mux(self.last, self.left, most)),
            self.behind.eq(self.address + Cat(Const(0, offset_bits), self.beats)),
        ]
        return m


def transfer_layout(parameters):
    """A transfer: address of its first beat, a multiple of a beat's bytes, and how many beats."""
    return data.StructLayout({"address": parameters.address_bits, "beats": parameters.count_bits})
