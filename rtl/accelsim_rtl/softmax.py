# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds a store that nobody elaborates.
"""The softmax of SpAtten: rows of scores in, probabilities out, two passes over each row."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.promises import store_depth
from accelsim.units.softmax import READ_CYCLES, ROWS
from accelsim.units.softmax import Softmax as Parameters
from accelsim_rtl.arithmetic import added
from accelsim_rtl.divider import Divider
from accelsim_rtl.exponent_lane import ExponentLane
from accelsim_rtl.promised_store import PromisedStore
from accelsim_rtl.row_store import RowStore
from accelsim_rtl.topk.pipeline import delayed


class Softmax(Component):
    """scores: a line of signed scores, `valid` those that count (a mask), `last` of a row.

    probabilities: the same, those that do not count are zero. A row has one score that counts, or more.
    Probes: scored, powered (lines in the two stores).
    Latency and throughput: the properties of the parameters; a line a clock, whatever the rows' lengths.
    """

    def __init__(self, parameters: Parameters, *, target=None):
        self.parameters, self.target = parameters, target
        self.store = PromisedStore(probabilities_layout(parameters), store_depth(parameters.divide_cycles))
        super().__init__(
            {
                "scores": In(stream.Signature(scores_layout(parameters))),
                "probabilities": Out(stream.Signature(probabilities_layout(parameters))),
                "scored": Out(range(parameters.store_lines + 1)),
                "powered": Out(range(parameters.store_lines + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, lanes = self.parameters, self.parameters.lanes
        power_bits = parameters.exponent.power_bits
        shared = {"lines": parameters.store_lines, "rows": ROWS, "target": self.target}
        m.submodules.scored = scored = RowStore(
            bits=lanes * (parameters.score_bits + 1), key_bits=parameters.score_bits, **shared
        )
        m.submodules.powered = powered = RowStore(
            bits=lanes * (power_bits + 1), key_bits=parameters.sum_bits, **shared
        )
        m.d.comb += [self.scored.eq(scored.level), self.powered.eq(powered.level)]

        # Rows come in, and their largest scores are found.
        payload = self.scores.payload
        enters = Signal()
        m.d.comb += [
            self.scores.ready.eq(scored.room),
            enters.eq(self.scores.valid & self.scores.ready),
            scored.promises.eq(enters),
            scored.ends.eq(payload.last),
            scored.writes.eq(enters),
            scored.line.eq(Cat(payload.scores, payload.valid)),
        ]
        self._largest(m, enters, scored)

        # The first pass: exponents of the distances, and their sum.
        # A register, for what leaves the first store counts in both.
        passes = Signal()
        m.d.sync += passes.eq(scored.next_passable & powered.next_room)
        m.d.comb += [
            scored.passes.eq(passes),
            powered.promises.eq(passes),
            powered.ends.eq(scored.closes),
        ]
        powers, valid = self._powers(m, scored)
        arrives = delayed(m, scored.passes, parameters.power_cycles, name="arrives", resets=True)
        m.d.comb += [powered.writes.eq(arrives), powered.line.eq(Cat(powers, valid))]
        ends = delayed(m, scored.closes, parameters.power_cycles, name="ends", resets=True)
        self._sum(m, arrives, ends, powers, powered)

        self._divide(m, powered)
        return m

    def _largest(self, m, enters, scored):
        """The largest score of a row that counts, in a register when its last line is through the tree."""
        parameters, payload = self.parameters, self.scores.payload
        # As natural numbers: a score that does not count is below all that do.
        level = [
            Cat(score[:-1], ~score[-1], counts)
            for score, counts in zip(payload.scores, payload.valid, strict=True)
        ]
        for depth in range(parameters.tree_cycles):
            halves = zip(level[::2], level[1::2], strict=True)
            level = []
            for number, (one, other) in enumerate(halves):
                larger = Signal(parameters.score_bits + 1, name=f"larger_{depth}_{number}", reset_less=True)
                m.d.sync += larger.eq(Mux(one > other, one, other))
                level.append(larger)
        there = delayed(m, enters, parameters.tree_cycles, name="there", resets=True)
        last = delayed(m, payload.last, parameters.tree_cycles, name="last")
        begins = Signal(init=1)
        largest = Signal(parameters.score_bits + 1)
        with m.If(there):
            m.d.sync += begins.eq(last)
        # Only whether it is loaded waits for the comparison.
        with m.If(there & (begins | (level[0] > largest))):
            m.d.sync += largest.eq(level[0])
        m.d.comb += [
            scored.knows.eq(delayed(m, there & last, 1, name="knows", resets=True)),
            scored.key.eq(Cat(largest[:-2], ~largest[-2])),
        ]

    def _powers(self, m, scored):
        """exp(score - largest) of a line, 0 for those that do not count; and which do."""
        parameters, lanes = self.parameters, self.parameters.lanes
        largest = delayed(m, scored.known, READ_CYCLES, name="largest").as_signed()
        scores = data.ArrayLayout(signed(parameters.score_bits), lanes)(
            scored.passed[: lanes * parameters.score_bits]
        )
        valid = delayed(
            m,
            scored.passed[lanes * parameters.score_bits :],
            parameters.power_cycles - READ_CYCLES,
            name="valid",
        )
        powers = []
        for lane in range(lanes):
            distance = Signal(parameters.score_bits, name=f"distance_{lane}", reset_less=True)
            m.d.sync += distance.eq(largest - scores[lane])
            m.submodules[f"exponent_{lane}"] = exponent = ExponentLane(
                parameters.exponent, target=self.target
            )
            m.d.comb += exponent.distance.eq(distance)
            powers.append(Mux(valid[lane], exponent.power, 0))
        return powers, valid

    def _sum(self, m, arrives, ends, powers, powered):
        """The sum of a row's exponents, when its last line is through the tree."""
        parameters = self.parameters
        line = added(m, powers, name="powers")
        there = delayed(m, arrives, parameters.tree_cycles, name="sum_there", resets=True)
        last = delayed(m, ends, parameters.tree_cycles, name="sum_last", resets=True)
        before = Signal(parameters.sum_bits)
        total = Signal(parameters.sum_bits)
        m.d.comb += [total.eq(before + line), powered.knows.eq(last), powered.key.eq(total)]
        with m.If(there):
            m.d.sync += before.eq(Mux(last, 0, total))

    def _divide(self, m, powered):
        """The second pass: exponents over their sum."""
        parameters, lanes = self.parameters, self.parameters.lanes
        power_bits = parameters.exponent.power_bits
        m.submodules.divider = divider = Divider(
            lanes=lanes,
            numerator_bits=power_bits,
            denominator_bits=parameters.sum_bits,
            fraction_bits=parameters.form.probability_fraction_bits,
            rounding=parameters.form.rounding,
        )
        latency = parameters.divide_cycles - 1
        m.submodules.store = store = self.store
        wiring.connect(m, store.given, wiring.flipped(self.probabilities))
        valid = delayed(m, powered.passed[lanes * power_bits :], latency - READ_CYCLES, name="counts")
        # A clock for the way from the blocks of the store to the lanes.
        numerators = delayed(m, powered.passed[: lanes * power_bits], 1, name="numerators")
        # As before: a register, for what leaves one store has a place in the next.
        passes = Signal()
        m.d.sync += passes.eq(powered.next_passable & store.next_room)
        m.d.comb += [
            powered.passes.eq(passes),
            divider.numerators.eq(numerators),
            divider.denominator.eq(delayed(m, powered.known, READ_CYCLES + 1, name="total")),
            store.issued.eq(passes),
            store.arrives.eq(delayed(m, powered.passes, latency, name="divided", resets=True)),
            store.beat.probabilities.eq(divider.quotients),
            store.beat.valid.eq(valid),
            store.beat.last.eq(delayed(m, powered.closes, latency, name="closes")),
        ]


def scores_layout(parameters):
    """A line of scores, those that count, and whether the row ends."""
    return data.StructLayout(
        {
            "scores": data.ArrayLayout(signed(parameters.score_bits), parameters.lanes),
            "valid": parameters.lanes,
            "last": 1,
        }
    )


def probabilities_layout(parameters):
    """A line of probabilities, those that count, and whether the row ends."""
    return data.StructLayout(
        {
            "probabilities": data.ArrayLayout(parameters.probability_bits, parameters.lanes),
            "valid": parameters.lanes,
            "last": 1,
        }
    )
