# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds a store that nobody elaborates.
"""SpAtten's dequantiser: sums times a scale, shifted, rounded, saturated and gathered to full lines."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.promises import store_depth
from accelsim.units.score_scale import SHIFT_CYCLES
from accelsim.units.score_scale import ScoreScale as Parameters
from accelsim_rtl.arithmetic import multiplied, rounds_up
from accelsim_rtl.layouts import layout
from accelsim_rtl.promised_store import PromisedStore
from accelsim_rtl.topk.pipeline import delayed

STEP_BITS = 2
"""Of the distance of a shift, in a clock."""


class ScoreScale(Component):
    """rows: scale, shift, visible, spread; before the lines of its row. sums: a line of 2^spread, `last`.

    scores: full lines but a row's last, `valid` the first `visible` of a row, `last`.
    Probe: promised (lines on their way or at the output).
    Latency: `latency_cycles` of the parameters. Throughput: a line of sums a clock; a row costs none.
    """

    def __init__(self, parameters: Parameters, *, target=None):
        self.parameters, self.target = parameters, target
        scores = layout(parameters.scores)
        self.store = PromisedStore(scores, store_depth(parameters.latency_cycles))
        super().__init__(
            {
                "rows": In(stream.Signature(layout(parameters.rows))),
                "sums": In(stream.Signature(layout(parameters.sums))),
                "scores": Out(stream.Signature(scores)),
                "promised": Out(range(self.store.depth + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, lanes = self.parameters, self.parameters.lanes
        line = self.sums.payload
        m.submodules.store = store = self.store

        # A row, then its lines.
        row = Signal(self.rows.payload.shape(), reset_less=True)
        there = Signal()
        takes = Signal()
        ends = Signal()
        m.d.comb += [
            self.sums.ready.eq(there & store.room),
            takes.eq(self.sums.valid & self.sums.ready),
            ends.eq(takes & line.last),
            self.rows.ready.eq(~there | ends),
        ]
        with m.If(self.rows.ready):
            m.d.sync += [there.eq(self.rows.valid), row.eq(self.rows.payload)]

        # Where in a line of scores this line of sums goes, and how many scores count from there on.
        place = Signal(range(lanes + 1))
        left = Signal(len(row.visible), reset_less=True)
        after = Signal(range(2 * lanes + 1))
        completes = Signal()
        m.d.comb += [
            after.eq(place + (1 << row.spread)),
            completes.eq(takes & (line.last | (after == lanes))),
        ]
        with m.If(takes):
            m.d.sync += place.eq(Mux(completes, 0, after))
        with m.If(self.rows.ready):
            m.d.sync += left.eq(self.rows.payload.visible)
        with m.Elif(completes):
            m.d.sync += left.eq(Mux(left > lanes, left - lanes, 0))

        # Lanes: every one scales; those of a line that is gathered already keep what they have.
        latency = parameters.latency_cycles - 1
        filled = delayed(m, Mux(takes, place, lanes), latency, name="filled")
        opens = delayed(m, place == 0, latency, name="opens")
        valid = Cat((lane < left) for lane in range(lanes))
        for lane in range(lanes):
            score = self._scaled(m, lane, self._chosen(lane, row.spread), row)
            kept = Signal.like(score, name=f"kept_{lane}", reset_less=True)
            gathered = Mux(filled <= lane, score, Mux(opens, 0, kept))
            m.d.sync += kept.eq(Mux(filled == lanes, kept, gathered))
            # A lane for which the row has no vector any more is zero.
            holds = delayed(m, lane < after, latency, name=f"holds_{lane}")
            m.d.comb += store.beat.scores[lane].eq(Mux(holds, gathered, 0))
        wiring.connect(m, store.given, wiring.flipped(self.scores))
        m.d.comb += [
            self.promised.eq(store.promised),
            store.issued.eq(completes),
            store.arrives.eq(delayed(m, completes, latency, name="arrives", resets=True)),
            store.beat.valid.eq(delayed(m, valid, latency, name="valid")),
            store.beat.last.eq(delayed(m, line.last, latency, name="last")),
        ]
        return m

    def _chosen(self, lane, spread):
        """The sum that a lane scales: its place among those of a line."""
        sums = self.sums.payload.sums
        chosen = sums[lane]
        for few in range(self.parameters.most_spread):
            chosen = Mux(spread == few, sums[lane % (1 << few)], chosen)
        return chosen

    def _scaled(self, m, lane, chosen, row):
        """The score of a sum, all but the store's clock later."""
        parameters, name = self.parameters, f"lane_{lane}"
        value = Signal(signed(parameters.sum_bits), name=f"{name}_sum")
        m.d.comb += value.eq(chosen)
        product = multiplied(m, value, Cat(row.scale, 0), name=name, target=self.target)
        distance = delayed(m, row.shift, parameters.product_cycles, name=f"{name}_shift")

        # Shifted: below the value the highest bit that was dropped, and whether any other one was set.
        rest, sticky = Cat(Const(0, 1), product).as_signed(), Const(0, 1)
        for step in reversed(range(SHIFT_CYCLES)):
            moved, lost = rest, sticky
            part = distance[step * STEP_BITS : (step + 1) * STEP_BITS]
            for steps in range(1, 1 << STEP_BITS):
                by = min(steps << step * STEP_BITS, len(rest) - 1)
                moved = Mux(part == steps, rest >> by, moved)
                lost = Mux(part == steps, sticky | rest[:by].any(), lost)
            shifted = Signal(signed(len(rest)), name=f"{name}_shifted_{step}", reset_less=True)
            dropped = Signal(name=f"{name}_dropped_{step}", reset_less=True)
            m.d.sync += [shifted.eq(moved), dropped.eq(lost)]
            distance = delayed(m, distance, 1, name=f"{name}_shift_{step}")
            rest, sticky = shifted, dropped

        # Rounded and saturated.
        bits = parameters.score_bits
        floor = rest[1:]
        above = floor[bits - 1 :] if len(floor) > bits else Cat(floor[-1], floor[-1])
        low = Cat(floor, floor[-1].replicate(max(0, bits - len(floor))))[:bits]
        fits, up, negative = (Signal(name=f"{name}_{word}") for word in ("fits", "up", "negative"))
        kept = Signal(signed(bits), name=f"{name}_low", reset_less=True)
        score = Signal(signed(bits), name=f"{name}_score", reset_less=True)
        most = (1 << bits - 1) - 1
        m.d.sync += [
            fits.eq(above.all() | ~above.any()),
            up.eq(rounds_up(rest[1], rest[0], sticky, parameters.rounding)),
            negative.eq(floor[-1]),
            kept.eq(low),
            score.eq(Mux(fits, kept + (up & (kept != most)), Mux(negative, -most - 1, most))),
        ]
        return score
