# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds queues that nobody elaborates.
"""A store of rows that wait until a number of each row is known: their largest score, or their sum."""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Component, In, Out

from accelsim_rtl.front_queue import FrontQueue
from accelsim_rtl.level import Level
from accelsim_rtl.topk.memory import LineMemory


class RowStore(Component):
    """promises, ends: a line, a row's last or not, gets a place, if there is `room` for it and for a row.

    writes, line: it comes, then or later. knows, key: the number of the oldest row that has none.
    passable: the oldest row has its number, `known`. passes: a line of it leaves, the row's last if `closes`;
    it is on `passed` READ_LATENCY clocks later. level: lines with a place.
    Rows inside, at most `rows`: those whose last line has a place and has not left.
    """

    def __init__(self, *, lines, bits, key_bits, rows, target=None):
        self.lines, self.target = lines, target
        self.places = FrontQueue(bits=1, depth=lines)
        self.keys = FrontQueue(bits=key_bits, depth=rows)
        self.rows = Level(rows)
        super().__init__(
            {
                "promises": In(1),
                "ends": In(1),
                "room": Out(1),
                "writes": In(1),
                "line": In(bits),
                "knows": In(1),
                "key": In(key_bits),
                "passable": Out(1),
                "known": Out(key_bits),
                "passes": In(1),
                "closes": Out(1),
                "passed": Out(bits),
                "level": Out(range(lines + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = LineMemory(lines=self.lines, bits=len(self.line), target=self.target)
        places, keys, rows = self.places, self.keys, self.rows
        m.submodules.places, m.submodules.keys, m.submodules.rows = places, keys, rows

        # Lines: of each with a place, whether its row ends.
        produce = Signal(range(self.lines))
        consume = Signal(range(self.lines))
        m.d.comb += [
            places.puts.eq(self.promises),
            places.word.eq(self.ends),
            places.takes.eq(self.passes),
            self.closes.eq(self.passes & places.oldest),
            self.level.eq(places.level),
            memory.write_enable.eq(self.writes),
            memory.write_line.eq(produce),
            memory.write_bits.eq(self.line),
            memory.read_line.eq(consume),
            self.passed.eq(memory.read_bits),
        ]
        with m.If(self.writes):
            m.d.sync += produce.eq(produce + 1)
        with m.If(self.passes):
            m.d.sync += consume.eq(consume + 1)

        # Rows, and the numbers of those that have one.
        m.d.comb += [
            rows.rises.eq(self.promises & self.ends),
            rows.falls.eq(self.closes),
            self.room.eq(places.room & rows.room),
            keys.puts.eq(self.knows),
            keys.word.eq(self.key),
            keys.takes.eq(self.closes),
            self.passable.eq(keys.some),
            self.known.eq(keys.oldest),
        ]
        return m
