# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds queues that nobody elaborates.
"""A store of rows that wait until a number of each row is known: their largest score, or their sum."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

from accelsim_rtl.front_queue import FrontQueue
from accelsim_rtl.level import Level
from accelsim_rtl.topk.memory import LineMemory


class RowStore(Component):
    """promises, ends: a line, a row's last or not, gets a place, if there is `room` for it and for a row.

    writes, line: it comes, then or later. knows, key: the number of the oldest row that has none; a row has
    its number in a clock after that in which its last line has got a place.
    passable: the oldest row has its number, `known`; opened: some of its lines have left. passes: a line of
    it leaves, its last if `closes`; it is on `passed` READ_LATENCY clocks later. level: lines with a place.
    next_room, next_passable: what `room` and `passable` are from the next clock on.
    Rows inside, at most `rows`: those whose last line has a place and has not left.
    """

    def __init__(self, *, lines, bits, key_bits, rows, target=None):
        self.lines, self.target = lines, target
        self.places = Level(lines)
        # Of a row: whether it is of one line, and how many follow its first.
        self.lengths = FrontQueue(bits=1 + len(Signal(range(lines))), depth=rows)
        self.keys = FrontQueue(bits=key_bits, depth=rows)
        super().__init__(
            {
                "promises": In(1),
                "ends": In(1),
                "room": Out(1),
                "next_room": Out(1),
                "writes": In(1),
                "line": In(bits),
                "knows": In(1),
                "key": In(key_bits),
                "passable": Out(1),
                "next_passable": Out(1),
                "known": Out(key_bits),
                "opened": Out(1),
                "passes": In(1),
                "closes": Out(1),
                "passed": Out(bits),
                "level": Out(range(lines + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = LineMemory(lines=self.lines, bits=len(self.line), target=self.target)
        places, lengths, keys = self.places, self.lengths, self.keys
        m.submodules.places, m.submodules.lengths, m.submodules.keys = places, lengths, keys

        # Lines have a place from their promise on.
        produce = Signal(range(self.lines))
        consume = Signal(range(self.lines))
        m.d.comb += [
            places.rises.eq(self.promises),
            places.falls.eq(self.passes),
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
            self.room.eq(places.room & lengths.room),
            self.next_room.eq(places.next_room & lengths.next_room),
            keys.puts.eq(self.knows),
            keys.word.eq(self.key),
            keys.takes.eq(self.closes),
            self.passable.eq(keys.some),
            self.next_passable.eq(keys.next_some),
            self.known.eq(keys.oldest),
        ]
        self._measure(m)
        self._close(m)
        return m

    def _measure(self, m):
        """The length of a row, when its last line has got a place."""
        begins = Signal(init=1)
        before = Signal(range(self.lines))
        m.d.comb += [
            self.lengths.puts.eq(self.promises & self.ends),
            self.lengths.word.eq(Cat(begins, before)),
        ]
        with m.If(self.promises):
            m.d.sync += [begins.eq(self.ends), before.eq(Mux(self.ends, 0, before + 1))]

    def _close(self, m):
        """Whether a line that leaves is its row's last: known before it leaves, for much waits for it."""
        single, follow = self.lengths.oldest[0], self.lengths.oldest[1:]
        final = Signal()
        behind = Signal(range(self.lines))
        last = Mux(self.opened, final, single)
        m.d.comb += [self.closes.eq(self.passes & last), self.lengths.takes.eq(self.closes)]
        with m.If(self.passes):
            m.d.sync += [
                self.opened.eq(~last),
                behind.eq(Mux(self.opened, behind, follow) - 1),
                final.eq(Mux(self.opened, behind == 1, follow == 1)),
            ]
