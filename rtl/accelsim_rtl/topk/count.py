"""The prefix count: how many marked lanes lie before each lane, and how many there are in all."""

from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accelsim_rtl.topk.adders import added, counted, summed
from accelsim_rtl.topk.pipeline import delayed

GROUP = 4


class PrefixCount(wiring.Component):
    """latency: `stages` cycles. 3: within groups of four lanes, then within halves of the line, then the
    lower half's sum on top of what lies before a lane in the upper one. 1: the register is behind the second
    of these, in the middle of the work; the third is left to those who ask.
    """

    def __init__(self, *, width, stages):
        if stages not in (1, 3):
            raise ValueError(f"stages must be 1 or 3, not {stages}")
        self.width, self.stages = width, stages
        super().__init__(
            {
                "marks": In(width),
                "before": Out(data.ArrayLayout((width - 1).bit_length(), width)),
                "total": Out(width.bit_length()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width, inner = self.width, int(self.stages == 3)
        inside, groups = [], []
        for first in range(0, width, GROUP):
            marks = [self.marks[lane] for lane in range(first, min(first + GROUP, width))]
            inside += [delayed(m, counted(marks[:lane]), inner, name="inside") for lane in range(len(marks))]
            groups.append(delayed(m, counted(marks), inner, name="group"))
        middle = len(groups) // 2
        halves = [summed(m, half, width) for half in (groups[:middle], groups[middle:])]
        in_half = [
            summed(m, [*groups[middle * (group >= middle) : group], inside[lane]], width)
            for lane, group in ((lane, lane // GROUP) for lane in range(width))
        ]
        halves = [delayed(m, half, 1, name="half") for half in halves]
        in_half = [delayed(m, value, 1, name="in_half") for value in in_half]
        lane_bits = (width - 1).bit_length()
        for lane, value in enumerate(in_half):
            upper = middle and lane // GROUP >= middle
            before = added(m, halves[0], value, lane_bits) if upper else value[:lane_bits]
            m.d.comb += self.before[lane].eq(delayed(m, before, inner, name="before"))
        total = added(m, *halves, width.bit_length())
        m.d.comb += self.total.eq(delayed(m, total, inner, name="total"))
        return m
