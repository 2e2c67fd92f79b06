"""FIFO of the kit: one of `amaranth.lib.fifo` between two streams, with the number of payloads as a probe."""

from amaranth.hdl import Module
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from accelsim.units.fifo import Fifo as Parameters


class Fifo(wiring.Component):
    """Streams `entering` in, `leaving` out; probe `level`: the payloads inside.

    Latency `parameters.latency_cycles`, throughput a payload each `parameters.interval_cycles`.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        payloads = stream.Signature(parameters.bits)
        super().__init__(
            {
                "entering": In(payloads),
                "leaving": Out(payloads),
                "level": Out(range(parameters.depth + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        kind = fifo.SyncFIFOBuffered if self.parameters.memory == "block" else fifo.SyncFIFO
        m.submodules.fifo = inner = kind(width=self.parameters.bits, depth=self.parameters.depth)
        wiring.connect(m, wiring.flipped(self.entering), inner.w_stream)
        wiring.connect(m, inner.r_stream, wiring.flipped(self.leaving))
        m.d.comb += self.level.eq(inner.level)
        return m
