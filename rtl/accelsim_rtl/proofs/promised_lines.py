"""Results that wait in a store keep the stream rule, because room was promised to them before they came."""

from amaranth.hdl import Assert, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Component, In, Out

from accelsim_rtl.promised_store import PromisedStore
from accelsim_rtl.proofs.watching import Harness
from accelsim_rtl.topk.pipeline import delayed


class PromisedLines(Harness):
    """Around a unit with a `PromisedStore`. Taps: its pointers, and the beats on their way to it.

    moving: name of the registers that follow a beat through the pipeline. stages: how many of them there are.
    more: taps of a subclass.
    """

    def __init__(self, unit, store: PromisedStore, *, moving: str, stages: int, more=None):
        self.depth, self.stages = store.depth, stages
        taps = {
            "produce": ("store.produce", range(store.depth)),
            "consume": ("store.consume", range(store.depth)),
            "level": ("store.here.level", range(store.depth + 1)),
            "promises": ("store.promised", range(store.depth + 1)),
            "room": ("store.room", 1),
            "some": ("store.here.some", 1),
        }
        taps |= {f"moving_{stage}": (f"{moving}_{stage}", 1) for stage in range(1, stages + 1)}
        super().__init__(unit, taps=taps | (more or {}))

    def claim(self, m: Module):
        super().claim(m)
        under_way = sum(getattr(self, f"moving_{stage}") for stage in range(1, self.stages + 1))
        m.d.comb += [
            Assert(self.promises == self.level + under_way),
            Assert(self.promises <= self.depth),
            Assert(self.room == (self.promises != self.depth)),
            Assert(self.some == (self.level != 0)),
            Assert(self.produce == (self.consume + self.level) % self.depth),
        ]


class ShortPipeline(Component):
    """The shortest unit with such a store: one register, and room for two beats of two bits."""

    def __init__(self):
        self.store = PromisedStore(2, 2)
        super().__init__({"entering": In(stream.Signature(2)), "leaving": Out(stream.Signature(2))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = self.store
        issued = self.entering.valid & self.entering.ready
        wiring.connect(m, store.given, wiring.flipped(self.leaving))
        m.d.comb += [
            self.entering.ready.eq(store.room),
            store.issued.eq(issued),
            store.arrives.eq(delayed(m, issued, 1, name="arrives", resets=True)),
            store.beat.eq(delayed(m, self.entering.payload, 1, name="beat")),
        ]
        return m
