"""The stream rule of the top-k engine: its threshold, and the store from which its kept lines are taken."""

from amaranth.hdl import Assert, Assume, Module, Mux, Signal

from accelsim_rtl.proofs.watching import Harness, holds
from accelsim_rtl.topk.engine import TopK
from accelsim_rtl.topk.store import Store


class TopKThreshold(Harness):
    """Around a top-k engine: the rule of its threshold alone."""

    def __init__(self, engine: TopK):
        super().__init__(engine)

    def claim(self, m: Module):
        m.d.comb += Assert(holds(m, self.threshold))


class TopKStore(Harness):
    """Around the store behind the filter, whose stream is the engine's `kept`.

    Assumed of the filter, and not proven: a line is issued only into promised room, only issued lines retire,
    and a line comes with a retiring one, or instead of an earlier one that retired without.
    """

    def __init__(self, store: Store):
        # A store as narrow as this one has one copy of `consume`.
        pointers = {"produce": ("produce", range(store.depth)), "consume": ("consume_0", range(store.depth))}
        pointers |= {"filled": ("filled_0", 1)}
        sums = {"promised": ("promised", range(store.depth + 1)), "change": ("change", range(-2, 3))}
        super().__init__(store, taps=pointers | sums)

    def claim(self, m: Module):
        super().claim(m)
        depth = self.dut.depth
        in_filter, owed, flushed = Signal(range(depth + 1)), Signal(), Signal()
        m.d.sync += in_filter.eq(in_filter + self.issued - self.retired)
        m.d.comb += flushed.eq(self.line_valid & ~self.retired)
        with m.If(flushed):
            m.d.sync += owed.eq(0)
        with m.Elif(self.retired & ~self.line_valid):
            m.d.sync += owed.eq(1)
        m.d.comb += [
            Assume(~self.issued | self.room),
            Assume(~self.retired | (in_filter != 0)),
            Assume(~flushed | owed),
            Assert(self.promised + self.change == self.level + in_filter),
            Assert(self.level + in_filter + owed <= depth),
            Assert(~self.room | (self.level + in_filter + owed < depth)),
            Assert(self.kept.valid == (self.level != 0)),
            Assert(self.filled == self.kept.valid),
            Assert(self.produce == (self.consume + self.level) % depth),
            Assert(Mux(self.line_valid, self.level < depth, 1)),
        ]
