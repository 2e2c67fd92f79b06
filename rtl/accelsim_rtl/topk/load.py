"""The loader: a request and its scores go into one of two banks while the engine works on the other."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from accelsim.golden import topk as golden
from accelsim.units.topk.parameters import SEED_CYCLES
from accelsim_rtl.topk.lfsr import stepped
from accelsim_rtl.topk.pipeline import delayed
from accelsim_rtl.topk.sampler import Sampler
from accelsim_rtl.topk.seed import Seed
from accelsim_rtl.topk.shapes import Shapes


class Load(wiring.Component):
    """loaded: all scores are written, or will be at the next edge; it stays until `taken`.

    count_less_one, keep_less_one and word (the state of the LFSR) stand still until then, the samples of the
    row until the first scores of the next one. latency: a line is written one cycle after it was taken.
    """

    def __init__(self, parameters):
        self.parameters, self.shapes = parameters, Shapes(parameters)
        shapes = self.shapes
        self.samples_kept = parameters.samples_kept
        super().__init__(
            {
                "request": In(stream.Signature(shapes.request)),
                "scores": In(stream.Signature(shapes.scores)),
                "write_enable": Out(1),
                "write_line": Out(shapes.line_bits + 1),
                "write_bits": Out(shapes.width * shapes.bits),
                "loaded": Out(1),
                "taken": In(1),
                "bank": Out(1),
                "count_less_one": Out(shapes.index_bits),
                "keep_less_one": Out(shapes.index_bits),
                "keeps_all": Out(1),
                "word": Out(golden.LFSR_BITS),
                "samples": Out(shapes.bits * self.samples_kept),
                "samples_number": Out(self.samples_kept.bit_length()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shapes = self.shapes
        line, bank = Signal(shapes.line_bits, reset_less=True), Signal()
        row_id = Signal(golden.LFSR_BITS, reset_less=True)
        last_line = Signal(shapes.line_bits)
        seeds = Signal()
        m.d.sync += self.keeps_all.eq(self.count_less_one == self.keep_less_one)
        m.d.comb += [last_line.eq(self.count_less_one[shapes.lane_bits :]), self.bank.eq(bank)]

        with m.FSM():
            with m.State("REQUEST"):
                # The registers follow the request: whether there is one would come too late.
                request = self.request.payload
                m.d.comb += self.request.ready.eq(1)
                m.d.sync += [
                    self.count_less_one.eq(request["count"] - 1),
                    self.keep_less_one.eq(request.keep - 1),
                    row_id.eq(request.row_id),
                    line.eq(0),
                ]
                with m.If(self.request.valid):
                    m.next = "SEED_1" if self.parameters.draws else "SCORES"
            if self.parameters.draws:
                for cycle in range(1, SEED_CYCLES):
                    with m.State(f"SEED_{cycle}"):
                        m.next = f"SEED_{cycle + 1}"
                with m.State(f"SEED_{SEED_CYCLES}"):
                    m.d.comb += seeds.eq(1)
                    m.next = "SCORES"
            with m.State("SCORES"):
                m.d.comb += self.scores.ready.eq(1)
                with m.If(self.scores.valid):
                    m.d.sync += line.eq(line + 1)
                    with m.If(line == last_line):
                        m.next = "LOADED"
            with m.State("LOADED"):
                m.d.comb += self.loaded.eq(1)
                with m.If(self.taken):
                    m.d.sync += bank.eq(~bank)
                    m.next = "REQUEST"

        lanes = Signal(shapes.score_lanes, reset_less=True)
        accepted = Signal()
        m.d.comb += accepted.eq(self.scores.valid & self.scores.ready)
        written = delayed(m, accepted, 1, name="written", resets=True)
        written_line = delayed(m, line, 1, name="written_line")
        m.d.sync += lanes.eq(self.scores.payload.scores)
        m.d.comb += [
            self.write_enable.eq(written),
            self.write_line.eq(Cat(written_line, bank)),
            self.write_bits.eq(lanes),
        ]
        if self.parameters.draws:
            begins = delayed(m, seeds, 1, name="seeded", resets=True)
            self._draw(m, row_id, begins, written, line, lanes)
        return m

    def _draw(self, m, row_id, begins, written, line, lanes):
        """The seed of the row, and samples of its lines as they are written."""
        shapes = self.shapes
        m.submodules.seed = seed = Seed()
        m.d.comb += seed.row_id.eq(row_id)
        if not self.samples_kept:
            m.d.comb += self.word.eq(seed.seed)
            return
        first_word = Signal(golden.LFSR_BITS)
        # The pass over the loaded row draws this word; those of its sides follow.
        m.d.comb += [first_word.eq(stepped(seed.seed)), self.word.eq(first_word)]
        m.submodules.sampler = sampler = Sampler(
            width=shapes.width, bits=shapes.bits, lines=shapes.lines, most=self.samples_kept
        )
        last_line = self.count_less_one[shapes.lane_bits :]
        last_lanes = self.count_less_one[: shapes.lane_bits]
        count = Signal(sampler.line_count.shape(), reset_less=True)
        m.d.sync += count.eq(Mux(line == last_line, last_lanes + 1, shapes.width))
        m.d.comb += [
            sampler.start.eq(begins),
            sampler.word.eq(first_word),
            sampler.line_valid.eq(written),
            sampler.line.eq(delayed(m, line, 1, name="sampled_line")),
            sampler.line_lanes.eq(lanes),
            sampler.line_count.eq(count),
            self.samples.eq(sampler.samples),
            self.samples_number.eq(sampler.number),
        ]
