"""The compactor: marked elements of a stream of lines become full lines: count, butterfly, join.

It is the zero eliminator and the re-aligner of the paper in one network: an element's lane is the number of
elements that wait in the join plus the number of marked ones before it, modulo the width.
"""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accelsim_rtl.topk.adders import added
from accelsim_rtl.topk.butterfly import Butterfly, wishes
from accelsim_rtl.topk.count import PrefixCount
from accelsim_rtl.topk.join import Join
from accelsim_rtl.topk.pipeline import LANES_OF_A_COPY, copies, delayed


class Compactor(wiring.Component):
    """Order is kept. valid: a line; marks are zero where there is none. first and last frame a pass, and two
    passes lie at least three cycles apart.

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
                "line_seen": Out(1),
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
        marks = delayed(m, self.marks, stages, name="marks")
        lanes = delayed(m, self.lanes, stages + 1, name="lanes")
        valid = delayed(m, self.valid, stages + 3, name="valid", resets=True)
        starts = delayed(m, self.first, stages - 1, name="starts", resets=True)
        last = delayed(m, self.last, stages, name="last", resets=True)

        # Destination. The fill is all that a line hands to the next one; it is 0 before the first.
        fill, full = Signal(lane_bits, reset_less=True), Signal(reset_less=True)
        fills = copies(lane_bits, -(-width // LANES_OF_A_COPY), name="fill")
        filled = added(m, fill, count.total, lane_bits + 1)
        next_fill = Mux(starts, 0, filled[:lane_bits])
        m.d.sync += [*(one.eq(next_fill) for one in (fill, *fills)), full.eq(filled[lane_bits])]
        wants, beyond = [], []
        for lane in range(width):
            place = added(m, fills[lane // LANES_OF_A_COPY], count.before[lane], lane_bits + 1)
            asked = marks[lane].replicate(2 * lane_bits) & wishes(place[:lane_bits])
            wants.append(delayed(m, asked, 1, name=f"wants_{lane}"))
            beyond.append(delayed(m, place[lane_bits], 1, name=f"beyond_{lane}"))

        # Butterfly. An element takes along whether its place lies beyond the line.
        m.d.comb += butterfly.valid.eq(delayed(m, marks, 1, name="placed"))
        for lane in range(width):
            m.d.comb += [
                butterfly.wants[lane].eq(wants[lane]),
                butterfly.lanes[lane].eq(Cat(lanes[lane], beyond[lane])),
            ]

        # Join.
        m.d.comb += [
            join.valid.eq(valid),
            join.first.eq(delayed(m, starts, 4, name="joining", resets=True)),
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
        for name in ("line_valid", "line_seen", "line", "line_lanes", "line_count"):
            m.d.comb += getattr(self, name).eq(getattr(join, name))
        return m
