# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds a level that nobody elaborates.
"""A queue whose oldest word stands in a register: who decides by it does not wait for a memory."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from accelsim_rtl.level import Level


class FrontQueue(Component):
    """puts, word: a word comes in, if there is `room`. takes: the oldest leaves, if there are `some`.

    oldest: the word that leaves next; one that comes into an empty queue is there in the next clock. level:
    words inside. next_room, next_some: those of the next clock. depth: a power of two. Throughput: a word in
    and a word out a clock.
    """

    def __init__(self, *, bits, depth):
        self.depth = depth
        self.count = Level(depth)
        super().__init__(
            {
                "puts": In(1),
                "word": In(bits),
                "room": Out(1),
                "next_room": Out(1),
                "takes": In(1),
                "some": Out(1),
                "next_some": Out(1),
                "oldest": Out(bits),
                "level": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.count = count = self.count
        m.submodules.memory = memory = Memory(shape=len(self.word), depth=self.depth, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        produce = Signal(range(self.depth))
        follows = Signal(range(self.depth), init=1 % self.depth)
        m.d.comb += [
            count.rises.eq(self.puts),
            count.falls.eq(self.takes),
            self.room.eq(count.room),
            self.next_room.eq(count.next_room),
            self.some.eq(count.some),
            self.next_some.eq(count.next_some),
            self.level.eq(count.level),
            write.en.eq(self.puts),
            write.addr.eq(produce),
            write.data.eq(self.word),
            read.addr.eq(follows),
        ]
        with m.If(self.puts):
            m.d.sync += produce.eq(produce + 1)
        with m.If(self.takes):
            m.d.sync += follows.eq(follows + 1)

        # The next to leave is in the memory, or comes in this clock if no other word is behind the oldest.
        with m.If(self.takes | ~self.some):
            m.d.sync += self.oldest.eq(Mux(self.level < 2, self.word, read.data))
        return m
