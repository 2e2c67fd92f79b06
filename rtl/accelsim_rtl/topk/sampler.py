"""The sampler: a few elements of a side, drawn while its lines are written, so that a pivot costs no time.

Which elements is defined by `accelsim.golden.topk.sampled_positions`: one of line 0, of line 1, of lines
2 to 3, of lines 4 to 7, and so on.
"""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accelsim.golden import topk as golden
from accelsim_rtl.topk.lfsr import stepped
from accelsim_rtl.topk.pipeline import delayed

LANES_OF_A_GROUP = 4


class Sampler(wiring.Component):
    """The last `most` samples, the newest first, and how many there are.

    start: a new side begins with the next line; word: its draw. line_count: elements of a line.
    latency: a sample is there two cycles after its line was written.
    """

    def __init__(self, *, width, bits, lines, most):
        self.width, self.bits, self.most = width, bits, most
        super().__init__(
            {
                "start": In(1),
                "word": In(golden.LFSR_BITS),
                "line_valid": In(1),
                "line": In((lines - 1).bit_length()),
                "line_lanes": In(data.ArrayLayout(bits, width)),
                "line_count": In(width.bit_length()),
                "samples": Out(data.ArrayLayout(bits, most)),
                "number": Out(most.bit_length()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lane_bits = (self.width - 1).bit_length()
        word = Signal(golden.LFSR_BITS, reset_less=True)
        mask = Signal(self.line.shape(), reset_less=True)

        # Which line of the group, and which lane of it.
        hit, group_ends = Signal(), Signal()
        m.d.comb += [
            hit.eq(self.line_valid & (((self.line ^ word) & mask) == 0)),
            group_ends.eq((self.line & mask) == mask),
        ]
        with m.If(self.start):
            m.d.sync += [word.eq(self.word), mask.eq(0)]
        with m.Elif(self.line_valid & group_ends):
            m.d.sync += [word.eq(stepped(word)), mask.eq(self.line)]
        lane = Signal(lane_bits)
        for bit in range(lane_bits):
            exists = (self.line_count >> (bit + 1)).any()
            m.d.comb += lane[bit].eq(word[golden.LFSR_BITS - lane_bits + bit] & exists)

        # The lane's element in two steps: within groups of lanes, then among the groups.
        low = min(lane_bits, (LANES_OF_A_GROUP - 1).bit_length())
        chosen = []
        for first in range(0, self.width, 1 << low):
            element = Signal(self.bits, name=f"chosen_{first}", reset_less=True)
            with m.Switch(lane[:low]):
                for offset in range(1 << low):
                    with m.Case(offset):
                        m.d.sync += element.eq(self.line_lanes[first + offset])
            chosen.append(element)
        group = delayed(m, lane[low:], 1, name="group")
        drawn = delayed(m, hit, 1, name="drawn", resets=True)
        element = Signal(self.bits)
        with m.Switch(group):
            for index, candidate in enumerate(chosen):
                with m.Case(index):
                    m.d.comb += element.eq(candidate)

        # The newest first.
        samples = Signal(data.ArrayLayout(self.bits, self.most), reset_less=True)
        number = Signal(self.number.shape(), reset_less=True)
        with m.If(self.start):
            m.d.sync += number.eq(0)
        with m.Elif(drawn & (number != self.most)):
            m.d.sync += number.eq(number + 1)
        with m.If(drawn):
            for place in range(self.most):
                m.d.sync += samples[place].eq(samples[place - 1] if place else element)
        m.d.comb += [self.samples.eq(samples), self.number.eq(number)]
        return m
