# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds levels that nobody elaborates.
"""The store behind a pipeline that never stalls: room in it is promised before a beat enters."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from accelsim_rtl.level import Level


class PromisedStore(wiring.Component):
    """issued: a beat enters the pipeline in this clock, which it may if there is `room`.

    arrives, beat: one leaves it and is on `given` from the next clock on. promised: beats under way or here.
    next_room: what `room` is from the next clock on, for who registers its decision.
    """

    def __init__(self, shape, depth):
        self.shape, self.depth = shape, depth
        self.promises, self.here = Level(depth), Level(depth)
        super().__init__(
            {
                "issued": In(1),
                "room": Out(1),
                "next_room": Out(1),
                "arrives": In(1),
                "beat": In(shape),
                "given": Out(stream.Signature(shape)),
                "promised": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        promises, here = self.promises, self.here
        m.submodules.promises, m.submodules.here = promises, here
        m.submodules.store = store = Memory(shape=self.shape, depth=self.depth, init=[])
        write, read = store.write_port(), store.read_port(domain="comb")
        produce = Signal(range(self.depth))
        consume = Signal(range(self.depth))
        taken = Signal()
        m.d.comb += [
            write.en.eq(self.arrives),
            write.addr.eq(produce),
            write.data.eq(self.beat),
            read.addr.eq(consume),
            here.rises.eq(self.arrives),
            here.falls.eq(taken),
            self.given.valid.eq(here.some),
            self.given.payload.eq(read.data),
            taken.eq(self.given.valid & self.given.ready),
            promises.rises.eq(self.issued),
            promises.falls.eq(taken),
            self.promised.eq(promises.level),
            self.room.eq(promises.room),
            self.next_room.eq(promises.next_room),
        ]
        with m.If(self.arrives):
            m.d.sync += produce.eq(produce + 1)
        with m.If(taken):
            m.d.sync += consume.eq(consume + 1)
        return m
