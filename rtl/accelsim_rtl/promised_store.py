"""The store behind a pipeline that never stalls: room in it is promised before a beat enters."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


class PromisedStore(wiring.Component):
    """issued: a beat enters the pipeline in this clock, which it may if there is `room`.

    arrives, beat: one leaves it and is on `given` from the next clock on. promised: beats under way or here.
    """

    def __init__(self, shape, depth):
        self.shape, self.depth = shape, depth
        super().__init__(
            {
                "issued": In(1),
                "room": Out(1, init=1),
                "arrives": In(1),
                "beat": In(shape),
                "given": Out(stream.Signature(shape)),
                "promised": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = Memory(shape=self.shape, depth=self.depth, init=[])
        write, read = store.write_port(), store.read_port(domain="comb")
        produce = Signal(range(self.depth))
        consume = Signal(range(self.depth))
        level = Signal(range(self.depth + 1))
        taken = Signal()
        m.d.comb += [
            write.en.eq(self.arrives),
            write.addr.eq(produce),
            write.data.eq(self.beat),
            read.addr.eq(consume),
            self.given.valid.eq(level != 0),
            self.given.payload.eq(read.data),
            taken.eq(self.given.valid & self.given.ready),
        ]
        # Said by a register: what is sent where there is room is sent by many wires.
        full, filled = self.promised == self.depth, self.promised == self.depth - 1
        m.d.sync += [
            self.room.eq(taken | ~(full | (filled & self.issued))),
            produce.eq(produce + self.arrives),
            consume.eq(consume + taken),
            level.eq(level + self.arrives - taken),
            self.promised.eq(self.promised + self.issued - taken),
        ]
        return m
