"""One side of a cut: the compactor that packs its elements, the memory that holds them, and their sampler."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accelsim.golden import topk as golden
from accelsim_rtl.topk.compact import Compactor
from accelsim_rtl.topk.memory import LineMemory
from accelsim_rtl.topk.sampler import Sampler
from accelsim_rtl.topk.shapes import Shapes


class Side(wiring.Component):
    """marks, lanes, valid, first, last: a line of a pass; counted: its marks, `count_stages` cycles later.

    read_bits: line `read_line` of what an earlier pass left here, two cycles later. A pass writes in place:
    it has always read more lines than it writes. word: the draw of the pass that will read this side.
    """

    def __init__(self, parameters, *, target):
        self.parameters, self.shapes, self.target = parameters, Shapes(parameters), target
        shapes = self.shapes
        super().__init__(
            {
                "marks": In(shapes.width),
                "lanes": In(shapes.score_lanes),
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                "counted": Out(shapes.width.bit_length()),
                "read_line": In(shapes.line_bits),
                "read_bits": Out(shapes.width * shapes.bits),
                "word": In(golden.LFSR_BITS),
                "samples": Out(shapes.bits * parameters.samples_kept),
                "samples_number": Out(parameters.samples_kept.bit_length()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, shapes = self.parameters, self.shapes
        size = {"width": shapes.width, "bits": shapes.bits, "lines": shapes.lines}
        m.submodules.compactor = compactor = Compactor(**size, count_stages=parameters.count_stages)
        m.submodules.memory = memory = LineMemory(
            lines=shapes.lines, bits=shapes.width * shapes.bits, target=self.target
        )
        for name in ("marks", "lanes", "valid", "first", "last"):
            m.d.comb += getattr(compactor, name).eq(getattr(self, name))
        m.d.comb += [
            self.counted.eq(compactor.counted),
            memory.write_enable.eq(compactor.line_valid),
            memory.write_line.eq(compactor.line),
            memory.write_bits.eq(compactor.line_lanes),
            memory.read_line.eq(self.read_line),
            self.read_bits.eq(memory.read_bits),
        ]
        if parameters.samples_kept:
            m.submodules.sampler = sampler = Sampler(**size, most=parameters.samples_kept)
            m.d.comb += [
                sampler.start.eq(compactor.joining),
                sampler.word.eq(self.word),
                sampler.line_valid.eq(compactor.line_seen),
            ]
            for name in ("line", "line_lanes", "line_count"):
                m.d.comb += getattr(sampler, name).eq(getattr(compactor, name))
            m.d.comb += [self.samples.eq(sampler.samples), self.samples_number.eq(sampler.number)]
        return m
