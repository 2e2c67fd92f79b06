"""Lines that follow each other as one transfer."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.stc.gemm import LINE_BYTES
from accelsim_rtl.axi.cutter import transfer_layout


class Grouper(Component):
    """lines: their addresses, `together` of which follow each other. requests: a transfer of as many beats.

    The first line asks for all, the others pass. Latency: none. Throughput: a line a clock.
    """

    def __init__(self, master, together):
        """master: the parameters of the one that takes the transfers."""
        self.together = together
        super().__init__(
            {
                "lines": In(stream.Signature(master.address_bits - (LINE_BYTES.bit_length() - 1))),
                "requests": Out(stream.Signature(transfer_layout(master))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        place = Signal(range(max(2, self.together)))
        m.d.comb += [
            self.requests.valid.eq(self.lines.valid & (place == 0)),
            self.requests.payload.address.eq(self.lines.payload << (LINE_BYTES.bit_length() - 1)),
            self.requests.payload.beats.eq(self.together),
            self.lines.ready.eq(self.requests.ready | (place != 0)),
        ]
        if self.together > 1:
            with m.If(self.lines.valid & self.lines.ready):
                m.d.sync += place.eq(place + 1)
        return m
