"""The compactor: marked elements of a stream of lines become full lines: count, butterfly, join.

It is the zero eliminator and the re-aligner of the paper in one network: an element's lane is the number of
elements that wait in the join plus the number of marked ones before it, modulo the width.
"""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accelsim_rtl.topk.butterfly import Butterfly
from accelsim_rtl.topk.count import PrefixCount
from accelsim_rtl.topk.join import Join
from accelsim_rtl.topk.pipeline import delayed


class Compactor(wiring.Component):
    """Order is kept. valid: a line; marks are zero where there is none. first and last frame a pass, and two
    passes lie at least two cycles apart.

    counted: the marks of a line, `count_stages` cycles after it; joining: the first line of a pass is at the
    join, one cycle before it can be part of a line. latency: count_stages + 4 cycles to the line that an
    element completes, one more for what remains after the last line.
    """

    def __init__(self, *, width, bits, lines, count_stages):
        self.width, self.bits, self.lines, self.count_stages = width, bits, lines, count_stages
        super().__init__(
            {
                "marks": In(width),
                "lanes": In(data.ArrayLayout(bits, width)),
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                "counted": Out(width.bit_length()),
                "joining": Out(1),
                "line_valid": Out(1),
                "line": Out((lines - 1).bit_length()),
                "line_lanes": Out(data.ArrayLayout(bits, width)),
                "line_count": Out(width.bit_length()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width, stages, lane_bits = self.width, self.count_stages, (self.width - 1).bit_length()
        m.submodules.count = count = PrefixCount(width=width, stages=stages)
        m.submodules.butterfly = butterfly = Butterfly(width=width, bits=self.bits + 1)
        m.submodules.join = join = Join(width=width, bits=self.bits, lines=self.lines)

        # Count.
        m.d.comb += [count.marks.eq(self.marks), self.counted.eq(count.total)]
        marks = delayed(m, self.marks, stages + 1, name="marks")
        lanes = delayed(m, self.lanes, stages + 1, name="lanes")
        valid = delayed(m, self.valid, stages + 3, name="valid", resets=True)
        first = delayed(m, self.first, stages, name="first", resets=True)
        last = delayed(m, self.last, stages, name="last", resets=True)

        # Destination. The fill is all that a line hands to the next one.
        fill, waiting = Signal(lane_bits, reset_less=True), Signal(lane_bits)
        filled, full = Signal(lane_bits + 1), Signal(reset_less=True)
        m.d.comb += [waiting.eq(Mux(first, 0, fill)), filled.eq(waiting + count.total)]
        m.d.sync += [fill.eq(filled[:lane_bits]), full.eq(filled[lane_bits])]
        places = [Signal(lane_bits + 1, name=f"place_{lane}", reset_less=True) for lane in range(width)]
        for lane, place in enumerate(places):
            m.d.sync += place.eq(waiting + count.before[lane])

        # Butterfly. An element takes along whether its place lies beyond the line.
        m.d.comb += butterfly.valid.eq(marks)
        for lane, place in enumerate(places):
            m.d.comb += [
                butterfly.destination[lane].eq(place[:lane_bits]),
                butterfly.lanes[lane].eq(Cat(lanes[lane], place[lane_bits])),
            ]

        # Join.
        m.d.comb += [
            join.valid.eq(valid),
            join.first.eq(delayed(m, first, 3, name="joining", resets=True)),
            join.last.eq(delayed(m, last, 3, name="leaving", resets=True)),
            join.full.eq(delayed(m, full, 2, name="full")),
            join.fill.eq(delayed(m, fill, 2, name="fill")),
            join.arrived.eq(butterfly.arrived),
            self.joining.eq(join.first),
        ]
        for lane in range(width):
            m.d.comb += [
                join.lanes[lane].eq(butterfly.routed[lane][: self.bits]),
                join.wraps[lane].eq(butterfly.routed[lane][self.bits]),
            ]
        for name in ("line_valid", "line", "line_lanes", "line_count"):
            m.d.comb += getattr(self, name).eq(getattr(join, name))
        return m
