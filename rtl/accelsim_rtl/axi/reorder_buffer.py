"""A buffer that puts beats of several bursts into the order in which the bursts got their numbers."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out


class ReorderBuffer(Component):
    """reserves, length: a burst of length + 1 beats gets `number` in this clock, if there is `room`.

    arrives, burst, beat: the next beat of the burst with that number comes; it is on `given` two clocks
    later, in its turn, with `last` if it is its burst's last. level: bursts with a number. oldest: the
    number of the one whose beat is on `given`. Beats lie in a block RAM, each burst in a place of its own.
    """

    def __init__(self, shape, *, bursts, beats):
        self.shape, self.bursts, self.beats = shape, bursts, beats
        super().__init__(
            {
                "reserves": In(1),
                "length": In(range(beats)),
                "room": Out(1),
                "number": Out(range(bursts)),
                "arrives": In(1),
                "burst": In(range(bursts)),
                "beat": In(shape),
                "given": Out(stream.Signature(data.StructLayout({"beat": shape, "last": 1}))),
                "oldest": Out(range(bursts)),
                "level": Out(range(bursts + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.beats = beats = Memory(shape=self.shape, depth=self.bursts * self.beats, init=[])
        write, read = beats.write_port(), beats.read_port()
        # Of each burst how many beats are here, and how many come.
        counts = [Signal(range(self.beats + 1), name=f"count_{burst}") for burst in range(self.bursts)]
        lengths = [Signal(range(self.beats), name=f"length_{burst}") for burst in range(self.bursts)]

        # The place that is on `given`, and that which is read for the next clock.
        given = Signal(range(self.beats))
        following = Signal(range(self.beats))
        next_oldest = Signal(range(self.bursts))
        takes = Signal()
        ends = Signal()
        m.d.comb += [
            takes.eq(self.given.valid & self.given.ready),
            ends.eq(takes & self.given.payload.last),
            following.eq(Mux(ends, 0, given + takes)),
            next_oldest.eq(self.oldest + ends),
            write.en.eq(self.arrives),
            write.addr.eq(Cat(Array(counts)[self.burst][: len(given)], self.burst)),
            write.data.eq(self.beat),
            read.addr.eq(Cat(following, next_oldest)),
            self.given.payload.beat.eq(read.data),
            self.given.payload.last.eq(given == Array(lengths)[self.oldest]),
            self.room.eq(self.level != self.bursts),
        ]
        m.d.sync += [
            given.eq(following),
            self.oldest.eq(next_oldest),
            self.given.valid.eq(following < Array(counts)[next_oldest]),
            self.number.eq(self.number + self.reserves),
            self.level.eq(self.level + self.reserves - ends),
        ]
        for burst in range(self.bursts):
            with m.If(self.reserves & (self.number == burst)):
                m.d.sync += lengths[burst].eq(self.length)
            with m.If(ends & (self.oldest == burst)):
                m.d.sync += counts[burst].eq(0)
            with m.Elif(self.arrives & (self.burst == burst)):
                m.d.sync += counts[burst].eq(counts[burst] + 1)
        return m
