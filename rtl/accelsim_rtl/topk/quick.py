"""Quick-select: passes that cut a side of the row at a pivot, until the k-th largest is the pivot itself.

The first pass reads the loader's bank, the others one of two line memories; each pass writes its larger
elements into one and its smaller ones into the other, in place, so that nothing can ever be full.
"""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accelsim.golden import topk as golden
from accelsim_rtl.topk.adders import reaches
from accelsim_rtl.topk.compare import Compare
from accelsim_rtl.topk.decide import Decide
from accelsim_rtl.topk.lfsr import stepped
from accelsim_rtl.topk.memory import READ_LATENCY
from accelsim_rtl.topk.pipeline import LANES_OF_A_COPY, copies, delayed
from accelsim_rtl.topk.pivot import FETCH_CYCLES, FetchedPivot, RankedPivot
from accelsim_rtl.topk.shapes import Shapes
from accelsim_rtl.topk.side import Side

LOADED, LARGER, SMALLER = range(3)
"""Where a pass reads: the loader's bank, or one of the memories of this engine."""


class Passes(wiring.Component):
    """The lines of each pass, one a cycle: `start` (the pass is known) to the first line is one cycle,
    and as many more as the pivot needs; a `short` pass, of one line, waits at least one, until it is written.
    """

    def __init__(self, parameters):
        self.shapes, self.pivot_wait = Shapes(parameters), parameters.pivot_wait
        self.fetch = FETCH_CYCLES.get(parameters.pivot, 0)
        shapes = self.shapes
        super().__init__(
            {
                "start": In(1),
                "last_line": In(shapes.line_bits),
                "short": In(1),
                "fetch_line": In(shapes.line_bits),
                "line": Out(shapes.line_bits),
                "valid": Out(1),
                "first": Out(1),
                "last": Out(1),
                "begins": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        wait = max(self.pivot_wait, 1)
        waited = [self.start]
        for cycle in range(wait):
            waited.append(delayed(m, waited[-1], 1, name=f"waited_{cycle}", resets=True))
        if self.pivot_wait:
            m.d.comb += self.begins.eq(waited[self.pivot_wait])
        else:
            m.d.comb += self.begins.eq(Mux(self.short, waited[1], waited[0]))

        left = Signal(self.shapes.line_bits, reset_less=True)
        with m.If(self.begins):
            m.d.sync += [self.valid.eq(1), self.first.eq(1), self.last.eq(self.short)]
        with m.Elif(self.valid):
            m.d.sync += [self.valid.eq(~self.last), self.first.eq(0), self.last.eq(left == 1)]
        with m.If(self.valid):
            m.d.sync += [left.eq(left - 1), self.line.eq(self.line + 1)]
        with m.Else():
            # Ready for whenever a pass begins.
            m.d.sync += [left.eq(self.last_line), self.line.eq(0)]
        if self.fetch:
            with m.If(waited[self.fetch]):
                # It goes through the pipeline as no line at all, for its pivot alone.
                m.d.sync += self.line.eq(self.fetch_line)
        return m


class QuickSelect(wiring.Component):
    """idle: there is no row, and its numbers are taken every cycle, the last time in that of `start`, when
    they are right, with word and samples. found: kth and quota are right, for one cycle.

    read_line, and read_bits two cycles later: the loader's bank. passes: begun so far.
    latency: each pass takes its lines - 1 + `pass_cycles` + the larger of `pivot_wait` and, for a pass of one
    line, 1 (all of `accelsim.units.topk.TopK`), from one cycle after `start` to `found`.
    """

    def __init__(self, parameters, *, target=None):
        self.parameters, self.shapes, self.target_device = parameters, Shapes(parameters), target
        shapes = self.shapes
        super().__init__(
            {
                "idle": In(1),
                "start": In(1),
                "row_count_less_one": In(shapes.index_bits),
                "row_target": In(shapes.index_bits),
                "row_word": In(golden.LFSR_BITS),
                "row_samples": In(shapes.bits * parameters.samples_kept),
                "row_samples_number": In(parameters.samples_kept.bit_length()),
                "read_line": Out(shapes.line_bits),
                "read_bits": In(shapes.width * shapes.bits),
                "found": Out(1),
                "kth": Out(shapes.bits),
                "quota": Out(shapes.count_bits),
                "passes": Out(shapes.pass_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, shapes = self.parameters, self.shapes
        m.submodules.passes = passes = Passes(parameters)
        m.submodules.compare = compare = Compare(
            width=shapes.width, bits=shapes.bits, stages=parameters.compare_stages
        )
        m.submodules.decide = decide = Decide(parameters)
        m.submodules.larger = larger = Side(parameters, target=self.target_device)
        m.submodules.smaller = smaller = Side(parameters, target=self.target_device)

        # What this pass does.
        count_less_one = Signal(shapes.index_bits, reset_less=True)
        target = Signal(shapes.index_bits, reset_less=True)
        word = Signal(golden.LFSR_BITS, reset_less=True)
        sides = copies(2, -(-shapes.width // LANES_OF_A_COPY), name="side")
        short = Signal(reset_less=True)
        started = delayed(m, self.start | decide.larger | decide.smaller, 1, name="started", resets=True)
        m.d.comb += [
            passes.start.eq(started),
            passes.last_line.eq(count_less_one[shapes.lane_bits :]),
            passes.short.eq(short),
        ]
        with m.If(started):
            m.d.sync += word.eq(stepped(word))
        with m.If(self.idle):
            m.d.sync += [
                count_less_one.eq(self.row_count_less_one),
                short.eq(self.row_count_less_one[shapes.lane_bits :] == 0),
                target.eq(self.row_target),
                word.eq(self.row_word),
                *(side.eq(LOADED) for side in sides),
            ]
        with m.Elif(decide.larger | decide.smaller):
            m.d.sync += [
                count_less_one.eq(decide.next_count_less_one),
                short.eq(decide.next_count_less_one[shapes.lane_bits :] == 0),
                target.eq(decide.next_target),
                *(side.eq(Mux(decide.larger, LARGER, SMALLER)) for side in sides),
            ]
        with m.If(self.idle):
            m.d.sync += self.passes.eq(0)
        with m.Elif(passes.begins):
            m.d.sync += self.passes.eq(self.passes + 1)

        # Read.
        for line in (self.read_line, larger.read_line, smaller.read_line):
            m.d.comb += line.eq(passes.line)
        lanes = Signal(shapes.score_lanes, reset_less=True)
        sources = (self.read_bits, larger.read_bits, smaller.read_bits)
        part = len(lanes.as_value()) // len(sides)
        for index, side in enumerate(sides):
            bits = slice(index * part, (index + 1) * part)
            m.d.sync += lanes.as_value()[bits].eq(_of_side(m, side, [source[bits] for source in sources]))
        tags = {
            name: delayed(m, getattr(passes, name), READ_LATENCY, name=f"read_{name}", resets=True)
            for name in ("valid", "first", "last")
        }
        # The pivot is loaded one cycle before the first line is compared.
        m.d.comb += [compare.load.eq(tags["first"]), compare.lanes.eq(lanes)]
        enabled = Signal(shapes.width)
        within = Cat(reaches(count_less_one[: shapes.lane_bits], lane) for lane in range(shapes.width))
        within = delayed(m, within, 1, name="within")
        for lane in range(shapes.width):
            m.d.sync += enabled[lane].eq(tags["valid"] & (~tags["last"] | within[lane]))
        m.d.comb += compare.enabled.eq(enabled)

        # Cut.
        compared = {
            name: delayed(m, tags[name], 1 + parameters.compare_stages, name=f"compared_{name}", resets=True)
            for name in ("valid", "first", "last")
        }
        compared_lanes = delayed(m, lanes, parameters.compare_stages, name="compared_lanes")
        for side_written, marks in ((larger, compare.larger), (smaller, compare.smaller)):
            m.d.comb += [
                side_written.marks.eq(marks),
                side_written.lanes.eq(compared_lanes),
                side_written.valid.eq(compared["valid"]),
                side_written.first.eq(compared["first"]),
                side_written.last.eq(compared["last"]),
                side_written.word.eq(word),
            ]

        # Decide.
        stages = parameters.count_stages
        m.d.comb += [
            decide.starts.eq(delayed(m, compared["first"], stages - 1, name="counts", resets=True)),
            decide.last.eq(delayed(m, compared["last"], stages, name="counted_last", resets=True)),
            decide.larger_counted.eq(larger.counted),
            decide.smaller_counted.eq(smaller.counted),
            decide.count_less_one.eq(count_less_one),
            decide.target.eq(target),
        ]
        m.d.sync += [
            self.found.eq(decide.found),
            self.kth.eq(compare.held),
            self.quota.eq(decide.quota),
        ]

        # Pivot of this pass.
        if parameters.samples_kept:
            samples = data.StructLayout(
                {"samples": len(self.row_samples), "number": len(self.row_samples_number)}
            )
            chosen = Signal(samples)
            sampled = (
                Cat(self.row_samples, self.row_samples_number),
                *(Cat(one.samples, one.samples_number) for one in (larger, smaller)),
            )
            m.d.comb += chosen.eq(_of_side(m, sides[0], sampled))
        if parameters.pivot == "reservoir":
            m.d.comb += compare.against.eq(chosen.samples)
        elif parameters.pivot == "rank_adaptive":
            m.submodules.pivot = ranked = RankedPivot(parameters)
            m.d.comb += [
                ranked.count_less_one.eq(count_less_one),
                ranked.target.eq(target),
                ranked.samples.eq(chosen.samples),
                ranked.number.eq(chosen.number),
                compare.against.eq(ranked.pivot),
            ]
        else:
            m.submodules.pivot = fetched = FetchedPivot(parameters)
            m.d.comb += [
                fetched.start.eq(started),
                fetched.count_less_one.eq(count_less_one),
                fetched.word.eq(word),
                fetched.lanes.eq(lanes),
                passes.fetch_line.eq(fetched.fetch_line),
                compare.against.eq(fetched.pivot),
            ]
        return m


def _of_side(m, side, sources):
    """That of three sources which the pass reads: LOADED, LARGER or SMALLER."""
    chosen = Signal(len(sources[LOADED]), name="of_side")
    with m.Switch(side):
        for name in (LOADED, LARGER):
            with m.Case(name):
                m.d.comb += chosen.eq(sources[name])
        with m.Default():
            m.d.comb += chosen.eq(sources[SMALLER])
    return chosen
