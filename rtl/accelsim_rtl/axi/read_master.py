# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds a buffer that nobody elaborates.
"""AXI4 read master: transfers of any length in, their beats in order out."""

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.read_master import ReadMaster as Parameters
from accelsim_rtl.axi.channels import read_channels
from accelsim_rtl.axi.cutter import Cutter, transfer_layout
from accelsim_rtl.axi.reorder_buffer import ReorderBuffer


class ReadMaster(Component):
    """requests: address and number of beats of a transfer. beats: its data in order, `error`, `last`.

    m_axi_ar, m_axi_r: the bus. Probe: level (bursts under way). A burst is asked for only if its beats have
    room, so `m_axi_r` never waits. Latency: a clock before the bus, a clock behind it. Throughput: a burst a
    clock, a beat a clock; a transfer costs no clock of its own.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        self.order = ReorderBuffer(
            received_layout(parameters), bursts=parameters.outstanding, beats=parameters.burst_beats
        )
        super().__init__(
            {
                "requests": In(stream.Signature(transfer_layout(parameters))),
                "beats": Out(stream.Signature(beats_layout(parameters))),
                **read_channels(parameters.port, "m_axi"),
                "level": Out(range(parameters.outstanding + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, address, received = self.parameters, self.m_axi_ar.payload, self.m_axi_r.payload
        m.submodules.order = order = self.order

        m.submodules.cutter = cutter = Cutter(parameters)
        wiring.connect(m, wiring.flipped(self.requests), cutter.requests)
        burst = cutter.bursts.payload
        moves = Signal()
        m.d.comb += [
            self.m_axi_ar.valid.eq(cutter.bursts.valid & order.room),
            cutter.bursts.ready.eq(self.m_axi_ar.ready & order.room),
            moves.eq(self.m_axi_ar.valid & self.m_axi_ar.ready),
            address.addr.eq(burst.address),
            address.id.eq(order.number),
            address.len.eq(burst.beats - 1),
        ]

        # Data into its place, and out in order.
        finals = [Signal(name=f"final_{burst}") for burst in range(parameters.outstanding)]
        for number, final in enumerate(finals):
            with m.If(moves & (order.number == number)):
                m.d.sync += final.eq(burst.last)
        m.d.comb += [
            order.reserves.eq(moves),
            order.length.eq(burst.beats - 1),
            self.m_axi_r.ready.eq(1),
            order.arrives.eq(self.m_axi_r.valid),
            order.burst.eq(received.id),
            order.beat.data.eq(received.data),
            order.beat.error.eq(received.resp[1]),
            self.beats.valid.eq(order.given.valid),
            self.beats.payload.data.eq(order.given.payload.beat.data),
            self.beats.payload.error.eq(order.given.payload.beat.error),
            self.beats.payload.last.eq(order.given.payload.last & Array(finals)[order.oldest]),
            order.given.ready.eq(self.beats.ready),
            self.level.eq(order.level),
        ]
        return m


def received_layout(parameters):
    """A beat, and whether it came with an error."""
    return data.StructLayout({"data": parameters.data_bits, "error": 1})


def beats_layout(parameters):
    """A beat, whether it came with an error, and whether it is the last of a transfer."""
    return data.StructLayout({"data": parameters.data_bits, "error": 1, "last": 1})
