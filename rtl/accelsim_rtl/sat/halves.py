"""A buffer of two halves: one fills while the other is read."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out


class Halves(Component):
    """Words of `parts` parts side by side, each written by itself; `depth` words a half.

    reserves: a half is wanted, if there is `room`. writes, part, place, word: into the half that fills;
    fills: it is full behind this clock. read: the place that is on `shown` in the next clock, if then
    `there`. releases: the half that is read is free. Throughput: a part and a word a clock, in block RAM.
    """

    def __init__(self, part_bits, depth, parts=1):
        self.part_bits, self.parts = part_bits, parts
        self.place_bits = (depth - 1).bit_length()
        super().__init__(
            {
                "reserves": In(1),
                "room": Out(1),
                "writes": In(1),
                "part": In(range(max(2, parts))),
                "place": In(self.place_bits),
                "word": In(part_bits),
                "fills": In(1),
                "read": In(self.place_bits),
                "releases": In(1),
                "there": Out(1),
                "shown": Out(part_bits * parts),
            }
        )

    def elaborate(self, platform):
        m = Module()
        reserved, filled = Signal(range(3)), Signal(range(3))
        write_half, read_half = Signal(), Signal()
        m.d.comb += self.room.eq(reserved != 2)
        m.d.sync += [
            reserved.eq(reserved + self.reserves - self.releases),
            filled.eq(filled + self.fills - self.releases),
            write_half.eq(write_half ^ self.fills),
            read_half.eq(read_half ^ self.releases),
            # What is written in this clock is not read in it.
            self.there.eq(filled != self.releases),
        ]
        for part in range(self.parts):
            m.submodules[f"part_{part}"] = memory = Memory(
                shape=self.part_bits, depth=2 << self.place_bits, init=[]
            )
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.en.eq(self.writes & (self.part == part)),
                write.addr.eq(Cat(self.place, write_half)),
                write.data.eq(self.word),
                read.addr.eq(Cat(self.read, read_half ^ self.releases)),
                self.shown[part * self.part_bits : (part + 1) * self.part_bits].eq(read.data),
            ]
        return m
