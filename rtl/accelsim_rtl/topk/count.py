"""The prefix count: how many marked lanes lie before each lane, and how many there are in all."""

from amaranth import Const, Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accelsim_rtl.topk.pipeline import delayed

GROUP = 4


class PrefixCount(wiring.Component):
    """latency: `stages` cycles. 1: all at once; 2: within groups of four lanes, then the groups before
    them; 3: the sums of the groups have a cycle of their own.
    """

    def __init__(self, *, width, stages):
        if stages not in (1, 2, 3):
            raise ValueError(f"stages must be 1, 2 or 3, not {stages}")
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
        inside, totals = [], []
        for first in range(0, self.width, GROUP):
            marks = [self.marks[lane] for lane in range(first, min(first + GROUP, self.width))]
            inside += [_sum(marks[:lane], self.width) for lane in range(len(marks))]
            totals.append(_sum(marks, self.width))
        if self.stages > 1:
            inside = [delayed(m, value, self.stages - 1, name="inside") for value in inside]
            totals = [delayed(m, value, 1, name="group") for value in totals]
        offsets = [_sum(totals[:group], self.width) for group in range(len(totals))]
        total = _sum(totals, self.width)
        if self.stages > 2:
            offsets = [delayed(m, value, 1, name="offset") for value in offsets]
            total = delayed(m, total, 1, name="all")
        for lane in range(self.width):
            before = (offsets[lane // GROUP] + inside[lane])[: (self.width - 1).bit_length()]
            m.d.comb += self.before[lane].eq(delayed(m, before, 1, name="before"))
        m.d.comb += self.total.eq(delayed(m, total, 1, name="total"))
        return m


def _sum(values, most):
    """A balanced sum that is known not to exceed `most`."""
    values = list(values) or [Const(0, 1)]
    while len(values) > 1:
        values = [
            (values[i] + values[i + 1])[: most.bit_length()] if i + 1 < len(values) else values[i]
            for i in range(0, len(values), 2)
        ]
    return values[0]
