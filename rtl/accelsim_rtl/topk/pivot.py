"""The pivot of the next pass, by one of four rules (`accelsim.golden.topk.pivot_of` defines them).

`published` and `uniform` read a line of the side before the pass; `reservoir` and `rank_adaptive` take what
was sampled while the side was written.
"""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accelsim.golden import topk as golden
from accelsim_rtl.topk.pipeline import delayed
from accelsim_rtl.topk.sampler import LANES_OF_A_GROUP
from accelsim_rtl.topk.shapes import Shapes

FETCH_CYCLES = {"published": 2, "uniform": 3}


class FetchedPivot(wiring.Component):
    """An element that is read: `fetch_line` is there FETCH_CYCLES[rule] cycles after `start`.

    start: count_less_one is that of the next pass; word is its draw one cycle later. lanes: the line register
    of the engine, three cycles after the line was wanted.
    """

    def __init__(self, parameters):
        self.shapes, self.rule = Shapes(parameters), parameters.pivot
        shapes = self.shapes
        super().__init__(
            {
                "start": In(1),
                "count_less_one": In(shapes.index_bits),
                "word": In(golden.LFSR_BITS),
                "fetch_line": Out(shapes.line_bits),
                "lanes": In(shapes.score_lanes),
                "pivot": Out(shapes.bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        if self.rule == "published":
            self._published(m)
        else:
            self._uniform(m)
        return m

    def _published(self, m):
        """The line of the masked word, then that of half of it; its element 0."""
        shapes = self.shapes
        last_line = self.count_less_one[shapes.lane_bits :]
        mask = Signal(shapes.line_bits, reset_less=True)
        for bit in range(shapes.line_bits):
            m.d.sync += mask[bit].eq((last_line >> bit).any())
        masked = Signal(shapes.line_bits)
        m.d.comb += masked.eq(self.word & mask)
        m.d.sync += self.fetch_line.eq(Mux(masked > last_line, masked & (mask >> 1), masked))
        m.d.comb += self.pivot.eq(self.lanes[0])

    def _uniform(self, m):
        """The element word / 2^16 of the way through the side: a multiplication and a lane multiplexer."""
        shapes = self.shapes
        count = Signal(shapes.count_bits, reset_less=True)
        product = Signal(golden.LFSR_BITS + shapes.count_bits, reset_less=True)
        m.d.sync += [count.eq(self.count_less_one + 1), product.eq(self.word * count)]
        position = product[golden.LFSR_BITS :]
        lane = Signal(shapes.lane_bits, reset_less=True)
        started = delayed(m, self.start, 2, name="started", resets=True)
        with m.If(started):
            m.d.sync += [
                lane.eq(position[: shapes.lane_bits]),
                self.fetch_line.eq(position[shapes.lane_bits :]),
            ]
        low = min(shapes.lane_bits, (LANES_OF_A_GROUP - 1).bit_length())
        groups = []
        for first in range(0, shapes.width, 1 << low):
            element = Signal(shapes.bits, name=f"element_{first}", reset_less=True)
            with m.Switch(lane[:low]):
                for offset in range(1 << low):
                    with m.Case(offset):
                        m.d.sync += element.eq(self.lanes[first + offset])
            groups.append(element)
        pivot = Signal(shapes.bits, reset_less=True)
        with m.Switch(lane[low:]):
            for index, element in enumerate(groups):
                with m.Case(index):
                    m.d.sync += pivot.eq(element)
        m.d.comb += self.pivot.eq(pivot)


class RankedPivot(wiring.Component):
    """Of up to five samples the one whose rank is nearest to target / count.

    The last sample of a side arrives three cycles after the start of its pass. latency: 4 cycles from there.
    """

    def __init__(self, parameters):
        self.shapes = shapes = Shapes(parameters)
        super().__init__(
            {
                "count_less_one": In(shapes.index_bits),
                "target": In(shapes.index_bits),
                "samples": In(data.ArrayLayout(shapes.bits, golden.SAMPLES)),
                "number": In(golden.SAMPLES.bit_length()),
                "pivot": Out(shapes.bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        most = golden.SAMPLES
        samples = delayed(m, self.samples, 1, name="samples")
        number = delayed(m, self.number, 1, name="number")

        # The wanted rank among the samples: how often count fits into number * target.
        bits = self.shapes.count_bits + most.bit_length()
        wanted = Signal(bits, reset_less=True)
        m.d.sync += wanted.eq(self.target * self.number)
        reached = Signal(most - 1, reset_less=True)
        for multiple in range(1, most):
            threshold = Signal(bits, name=f"threshold_{multiple}", reset_less=True)
            m.d.sync += threshold.eq((self.count_less_one + 1) * multiple)
            m.d.sync += reached[multiple - 1].eq(wanted >= threshold)

        # The rank of each sample: how many others are larger, of equals those before it.
        ahead = {}
        for one in range(most):
            for other in range(one):
                bit = Signal(name=f"ahead_{other}_{one}", reset_less=True)
                m.d.sync += bit.eq((samples[other] >= samples[one]) & (other < number))
                ahead[other, one] = bit
                behind = Signal(name=f"ahead_{one}_{other}", reset_less=True)
                m.d.sync += behind.eq((samples[one] > samples[other]) & (one < number))
                ahead[one, other] = behind
        present = delayed(m, Cat(*(place < number for place in range(most))), 1, name="present")
        samples = delayed(m, samples, 1, name="samples_again")

        hits = Signal(most, reset_less=True)
        rank_wanted = sum(reached[1:], reached[0])
        for place in range(most):
            rank = sum((ahead[other, place] for other in range(most) if other != place), Const(0, 3))
            m.d.sync += hits[place].eq(present[place] & (rank == rank_wanted))
        samples = delayed(m, samples, 1, name="samples_last")
        chosen = Const(0, self.shapes.bits)
        for place in range(most):
            chosen |= Mux(hits[place], samples[place], 0)
        m.d.sync += self.pivot.eq(chosen)
        return m
