"""The sampler: a few elements of a side, drawn while its lines are written, so that a pivot costs no time.

Which elements is defined by `accelsim.golden.topk.sampled_positions`: one of line 0, of line 1, of lines
2 to 3, of lines 4 to 7, and so on.
"""

from amaranth import Cat, Const, Module, Signal
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

        # Which line of the group is drawn. A group ends at a line whose number is ones alone, which is known
        # from the line before it; the next group has that many lines, and the bits above them in common.
        drawn_line, line = Signal(self.line.shape(), reset_less=True), self.line
        below, ends = Cat(Const(1, 1), line)[: len(line)], Signal(reset_less=True)
        with m.If(self.start):
            m.d.sync += ends.eq(1)
        with m.Elif(self.line_valid):
            m.d.sync += ends.eq(~line[0] & ~(line & ~below)[2:].any())
        with m.If(self.start):
            m.d.sync += [word.eq(self.word), drawn_line.eq(0)]
        with m.Elif(self.line_valid & ends):
            m.d.sync += [word.eq(stepped(word)), drawn_line.eq((stepped(word) & line) | (below & ~line))]
        drawn = delayed(m, self.line_valid & (line == drawn_line), 1, name="drawn", resets=True)

        # Which lane of it: the bits of the draw below the highest one of the count.
        draw = word[golden.LFSR_BITS - lane_bits :]
        exists = Cat(self.line_count[bit + 1 :].any() for bit in range(lane_bits))
        low = min(lane_bits, (LANES_OF_A_GROUP - 1).bit_length())

        # The lane's element in two steps: within groups of lanes, then among the groups. Only in a line that
        # does not fill one group the draw is cut within it.
        candidates, chosen = [], []
        for index in range(self.width >> low):
            lanes = [self.line_lanes[index << low | lane] for lane in range(1 << low)]
            candidates.append(self._element(m, draw[:low], lanes))
            fills = exists[low - 1] if low else Const(1, 1)
            chosen.append(fills & ((draw & exists)[low:] == index))
        if low:
            lanes = [self.line_lanes[lane] for lane in range(1 << low - 1)]
            candidates.append(self._element(m, (draw & exists)[: low - 1], lanes))
            chosen.append(~exists[low - 1])
        chosen = delayed(m, Cat(chosen), 1, name="chosen")
        element = Const(0, self.bits)
        for index, candidate in enumerate(candidates):
            element |= chosen[index].replicate(self.bits) & candidate

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

    def _element(self, m, lane, lanes):
        """That of a lane, one cycle later."""
        element = Signal(self.bits, name="element", reset_less=True)
        with m.Switch(lane):
            for number, value in enumerate(lanes):
                with m.Case(number):
                    m.d.sync += element.eq(value)
        return element
