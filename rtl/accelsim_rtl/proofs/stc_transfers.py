"""Lines that follow each other are asked for once and together."""

from amaranth.hdl import Assert, Module, Mux, Signal

from accelsim.units.stc.gemm import LINE_BYTES
from accelsim_rtl.proofs.watching import Harness
from accelsim_rtl.stc.grouper import Grouper


class LinesTogether(Harness):
    """Around a grouper: a line passes if it asks for itself and those behind it, or was asked for."""

    def __init__(self, grouper: Grouper):
        super().__init__(grouper, taps={"place": ("place", range(max(2, grouper.together)))})

    def claim(self, m: Module):
        super().claim(m)
        together = self.dut.together
        passes = self.lines.valid & self.lines.ready
        asks = self.requests.valid & self.requests.ready
        left = Signal(range(together + 1))
        m.d.sync += left.eq(left + Mux(asks, together, 0) - passes)
        m.d.comb += [
            Assert(left < together),
            Assert(self.place == (together - left) % together),
            Assert(~asks | (passes & (left == 0))),
            Assert(~passes | asks | (left != 0)),
            Assert(~asks | (self.requests.payload.address == self.lines.payload * LINE_BYTES)),
            Assert(~asks | (self.requests.payload.beats == together)),
        ]
