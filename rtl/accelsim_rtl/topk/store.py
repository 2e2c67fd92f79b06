"""The store behind the filter: lines wait for whoever takes them, and room is promised before they exist."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from accelsim_rtl.topk.adders import incremented, reaches
from accelsim_rtl.topk.shapes import Shapes

BITS_OF_A_COPY = 24
"""Of a line, that share a copy of the number of the line being read, and of whether there is one: the wires
would be the longest."""


class Store(wiring.Component):
    """issued: a line goes into the filter; retired: it is through; line_valid: a line comes out of it.

    A line in the filter becomes one line here or none, and behind the last one of a row there may be one
    more. So room is said while the lines here and in the filter leave one free, and two more for the lines
    that may go in before they are seen: the lines are summed in two cycles, and `room` is a register.
    latency: a line can be taken in the cycle after it came.
    """

    def __init__(self, parameters):
        self.shapes, self.depth = Shapes(parameters), parameters.store_lines
        super().__init__(
            {
                "issued": In(1),
                "retired": In(1),
                "room": Out(1, init=1),
                "line_valid": In(1),
                "line": In(self.shapes.kept),
                "kept": Out(stream.Signature(self.shapes.kept)),
                "level": Out(self.depth.bit_length()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        produce = Signal(range(self.depth))
        promised, level = (Signal(range(self.depth + 1), name=name) for name in ("promised", "level"))
        change = Signal(range(-2, 3))
        taken, moves, will_be_filled = Signal(), Signal(), Signal()
        m.d.comb += [
            taken.eq(self.kept.valid & self.kept.ready),
            moves.eq(taken ^ self.line_valid),
            will_be_filled.eq(self.line_valid | level[1:].any() | (level[0] & ~self.kept.ready)),
            self.level.eq(level),
        ]
        m.d.sync += [
            self.room.eq(~reaches(promised, self.depth - 3)),
            self.kept.valid.eq(will_be_filled),
            produce.eq(Mux(self.line_valid, incremented(produce), produce)),
            level.eq(level + Cat(moves, (moves & taken).replicate(len(level) - 1))),
            # What is in the filter and what is here: a line that retires is counted here from then on, if it
            # became one.
            change.eq(self.issued - self.retired + self.line_valid - taken),
            promised.eq(promised + change),
        ]
        line, payload = self.line.as_value(), self.kept.payload.as_value()
        for first in range(0, len(line), BITS_OF_A_COPY):
            part = slice(first, min(first + BITS_OF_A_COPY, len(line)))
            # Equal registers would be made one.
            consume, filled = (
                Signal(shape, name=f"{name}_{first}", attrs={"keep": 1})
                for name, shape in (("consume", range(self.depth)), ("filled", 1))
            )
            with m.If(filled & self.kept.ready):
                m.d.sync += consume.eq(incremented(consume))
            m.d.sync += filled.eq(will_be_filled)
            memory = Memory(shape=part.stop - part.start, depth=self.depth, init=[])
            m.submodules[f"memory_{first}"] = memory
            write, read = memory.write_port(), memory.read_port(domain="comb")
            m.d.comb += [
                write.en.eq(self.line_valid),
                write.addr.eq(produce),
                write.data.eq(line[part]),
                read.addr.eq(consume),
                payload[part].eq(read.data),
            ]
        return m
