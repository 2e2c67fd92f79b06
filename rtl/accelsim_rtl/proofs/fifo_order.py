"""A FIFO neither loses nor overflows: a watched payload leaves unchanged, after those before it, in its turn.

Which payload is watched is drawn, so that what holds for it holds for all.
"""

from amaranth.hdl import Array, Assert, Const, Module, Mux, Signal

from accelsim_rtl.fifo import Fifo
from accelsim_rtl.proofs.watching import Harness


class FifoOrder(Harness):
    """Around a FIFO. Taps: its pointers and its memory, for the invariants."""

    def __init__(self, fifo: Fifo):
        parameters = fifo.parameters
        self.cells = parameters.depth - parameters.registered
        taps = {f"stored_{cell}": (f"fifo.storage[{cell}]", parameters.bits) for cell in range(self.cells)}
        if self.cells > 1:  # a single cell has no pointers
            taps |= {name: (f"fifo.{name}", range(self.cells)) for name in ("produce", "consume")}
        super().__init__(fifo, drawn={"watch": 1}, taps=taps)

    def claim(self, m: Module):
        super().claim(m)
        depth = self.dut.parameters.depth
        enters, leaves = Signal(), Signal()
        m.d.comb += [
            enters.eq(self.entering.valid & self.entering.ready),
            leaves.eq(self.leaving.valid & self.leaving.ready),
        ]

        # What went in and did not come out is inside, and there is room for it.
        inside = Signal(range(depth + 2))
        m.d.sync += inside.eq(inside + enters - leaves)
        m.d.comb += [
            Assert(self.level == inside),
            Assert(inside <= depth),
            Assert((inside != 0) | ~self.leaving.valid),
        ]

        # It is offered: what has been inside for the latency stands at the output.
        waited = Signal(range(self.dut.parameters.latency_cycles + 1))
        with m.If((inside == 0) | ((inside == 1) & leaves)):
            m.d.sync += waited.eq(enters)
        with m.Elif(~self.leaving.valid):
            m.d.sync += waited.eq(waited + 1)
        with m.If((waited >= self.dut.parameters.latency_cycles) & (inside != 0)):
            m.d.comb += Assert(self.leaving.valid)

        # The watched payload, and how many are before it.
        watched = Signal(self.dut.parameters.bits)
        follows, before = Signal(), Signal(range(depth + 1))
        with m.If(enters & self.watch & ~follows):
            m.d.sync += [watched.eq(self.entering.payload), follows.eq(1), before.eq(inside - leaves)]
        with m.If(follows & leaves):
            m.d.sync += before.eq(before - 1)
            with m.If(before == 0):
                m.d.sync += follows.eq(0)
        with m.If(follows):
            m.d.comb += Assert(before < inside)
            with m.If(self.leaving.valid & (before == 0)):
                m.d.comb += Assert(self.leaving.payload == watched)
        self._stored(m, inside, follows, before, watched)

    def _stored(self, m: Module, inside, follows, before, watched):
        """Invariants: pointers and level agree, and the watched payload lies where it will be read."""
        outside = self.leaving.valid if self.dut.parameters.registered else 0
        within = Signal(range(self.cells + 1))
        m.d.comb += [within.eq(inside - outside), Assert(inside - outside <= self.cells)]
        produce, consume = (self.produce, self.consume) if self.cells > 1 else (0, Const(0))
        m.d.comb += [
            Assert(consume < self.cells),
            Assert(produce == self._cell(consume + within)),
        ]
        stored = Array(getattr(self, f"stored_{cell}") for cell in range(self.cells))
        with m.If(follows & ~((before == 0) & outside)):
            m.d.comb += Assert(stored[self._cell(consume + before - outside)] == watched)

    def _cell(self, place):
        """A place beyond the last cell is one from the first on."""
        return Mux(place >= self.cells, place - self.cells, place)
