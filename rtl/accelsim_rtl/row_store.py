"""A store of rows that wait until a number of each row is known: their largest score, or their sum."""

from amaranth.hdl import Module, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from accelsim_rtl.topk.memory import LineMemory


class RowStore(Component):
    """promises, ends: a line, a row's last or not, gets a place; writes, line: it comes, then or later.

    knows, key: the number of the oldest row that has none. passable: the oldest row has its number, `known`.
    passes: a line of it leaves, the row's last if `closes`; it is on `passed` READ_LATENCY clocks later.
    level: lines with a place; rows: those of which a line has one and that are not closed, complete ones.
    """

    def __init__(self, *, lines, bits, key_bits, rows, target=None):
        self.lines, self.rows_held, self.target = lines, rows, target
        super().__init__(
            {
                "promises": In(1),
                "ends": In(1),
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
                "rows": Out(range(rows + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = LineMemory(lines=self.lines, bits=len(self.line), target=self.target)
        m.submodules.flags = flags = Memory(shape=1, depth=self.lines, init=[])
        m.submodules.keys = keys = Memory(shape=len(self.key), depth=self.rows_held, init=[])

        # Lines by their places.
        place = Signal(range(self.lines))
        produce = Signal(range(self.lines))
        consume = Signal(range(self.lines))
        mark, marked = flags.write_port(), flags.read_port(domain="comb")
        m.d.comb += [
            mark.en.eq(self.promises),
            mark.addr.eq(place),
            mark.data.eq(self.ends),
            marked.addr.eq(consume),
            memory.write_enable.eq(self.writes),
            memory.write_line.eq(produce),
            memory.write_bits.eq(self.line),
            memory.read_line.eq(consume),
            self.passed.eq(memory.read_bits),
            self.closes.eq(self.passes & marked.data),
        ]
        m.d.sync += [
            place.eq(place + self.promises),
            produce.eq(produce + self.writes),
            consume.eq(consume + self.passes),
            self.level.eq(self.level + self.promises - self.passes),
            self.rows.eq(self.rows + (self.promises & self.ends) - self.closes),
        ]

        # Rows by their numbers.
        newest = Signal(range(self.rows_held))
        oldest = Signal(range(self.rows_held))
        complete = Signal(range(self.rows_held + 1))
        know, known = keys.write_port(), keys.read_port(domain="comb")
        m.d.comb += [
            know.en.eq(self.knows),
            know.addr.eq(newest),
            know.data.eq(self.key),
            known.addr.eq(oldest),
            self.known.eq(known.data),
            self.passable.eq(complete != 0),
        ]
        m.d.sync += [
            newest.eq(newest + self.knows),
            oldest.eq(oldest + self.closes),
            complete.eq(complete + self.knows - self.closes),
        ]
        return m
