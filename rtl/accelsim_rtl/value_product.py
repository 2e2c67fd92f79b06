# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds a store that nobody elaborates.
"""SpAtten's PxV: broadcast probabilities, multipliers, folding adders, accumulators, rounded outputs."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.products import PRODUCT_CYCLES
from accelsim.units.value_product import ValueProduct as Parameters
from accelsim_rtl.arithmetic import added, product_of, rounds_up
from accelsim_rtl.layouts import layout
from accelsim_rtl.promised_store import PromisedStore
from accelsim_rtl.topk.pipeline import copies, delayed

PLACES_OF_A_COPY = 16
"""Accumulators that share a register that steers them."""


class ValueProduct(Component):
    """weights: a probability for each vector of a line of V, 0 where none is; of the row: level, number,
    last.

    values: a line of V. results: outputs of a row, `output_lanes` a beat, number, magnitude of those so far,
    last. Probe: promised (beats that leave or will).
    Latency: `latency_cycles` from a row's last line. Throughput: a line a clock, or a row in as many as it
    has beats. `weights.ready` and `values.ready` follow each other's `valid`.
    """

    def __init__(self, parameters: Parameters, *, target=None):
        self.parameters, self.target = parameters, target
        results = layout(parameters.results)
        self.store = PromisedStore(results, parameters.store_beats)
        super().__init__(
            {
                "weights": In(stream.Signature(layout(parameters.weights))),
                "values": In(stream.Signature(layout(parameters.values))),
                "results": Out(stream.Signature(results)),
                "promised": Out(range(parameters.store_beats + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, line = self.parameters, self.weights.payload
        m.submodules.store = self.store
        levels = range(parameters.least_level, parameters.levels + 1)
        beats = Signal(range(parameters.beats(parameters.levels) + 1))
        m.d.comb += beats.eq(sum(Mux(line.level == one, parameters.beats(one), 0) for one in levels))

        # A line with its weights; a row's last one promises room for all its beats, one a clock.
        busy = Signal(range(parameters.beats(parameters.levels)))
        goes = Signal()
        takes = Signal()
        ends = Signal()
        taken = self.results.valid & self.results.ready
        fits = self.promised + beats <= parameters.store_beats
        m.d.comb += [
            goes.eq(self.weights.valid & (~line.last | ((busy == 0) & fits))),
            self.values.ready.eq(goes),
            self.weights.ready.eq(goes & self.values.valid),
            takes.eq(self.weights.ready),
            ends.eq(takes & line.last),
        ]
        m.d.sync += self.promised.eq(self.promised + Mux(ends, beats, 0) - taken)
        with m.If(ends):
            m.d.sync += busy.eq(beats - 1)
        with m.Elif(busy != 0):
            m.d.sync += busy.eq(busy - 1)

        sums = self._sums(m, takes)
        self._leave(m, sums, ends, beats)
        return m

    def _sums(self, m, takes):
        """The accumulators: a row's sums stand there when its last line has been added."""
        parameters, line = self.parameters, self.weights.payload
        terms = []
        for place in range(parameters.multipliers):
            # The vector of which this place is a part: that of the shortest vectors, or of longer ones.
            shortest = place >> parameters.least_level
            weight = line.probabilities[shortest]
            for fold in range(1, parameters.folds + 1):
                longer = line.level == parameters.least_level + fold
                weight = Mux(longer, line.probabilities[shortest >> fold], weight)
            operands = []
            for name, value in (("value", self.values.payload.operands[place]), ("weight", Cat(weight, 0))):
                operand = Signal(signed(len(value)), name=f"{name}_{place}", reset_less=True)
                m.d.sync += operand.eq(value)
                operands.append(operand)
            terms.append(product_of(m, *operands, name=f"place_{place}", target=self.target))

        # Folds: the upper half of the places that a longer vector would take is added to the lower one.
        level = delayed(m, line.level, 1 + PRODUCT_CYCLES - 1, name="level")
        for fold in range(parameters.folds):
            half = parameters.multipliers >> fold + 1
            groups = copies(1, -(-half // PLACES_OF_A_COPY), name=f"folds_{fold}")
            m.d.sync += [group.eq(level < parameters.levels - fold) for group in groups]
            level = delayed(m, level, 1, name=f"level_{fold}")
            folded = []
            for place, term in enumerate(terms):
                later = Signal(
                    signed(len(term) + (place < half)), name=f"fold_{fold}_{place}", reset_less=True
                )
                folds = groups[place % half // PLACES_OF_A_COPY]
                m.d.sync += later.eq(term + Mux(folds, terms[place + half], 0) if place < half else term)
                folded.append(later)
            terms = folded

        steps = 1 + PRODUCT_CYCLES + parameters.folds
        there = delayed(m, takes, steps - 1, name="there", resets=True)
        last = delayed(m, line.last, steps - 1, name="last")
        fresh = Signal(init=1)
        with m.If(there):
            m.d.sync += fresh.eq(last)
        groups = -(-parameters.multipliers // PLACES_OF_A_COPY)
        adds, opens = copies(1, groups, name="adds", resets=True), copies(1, groups, name="opens")
        m.d.sync += [group.eq(there) for group in adds] + [group.eq(fresh) for group in opens]
        sums = []
        for place, term in enumerate(terms):
            total = Signal(signed(parameters.sum_bits), name=f"total_{place}", reset_less=True)
            group = place // PLACES_OF_A_COPY
            with m.If(adds[group]):
                m.d.sync += total.eq(Mux(opens[group], 0, total) + term)
            sums.append(total)
        return sums

    def _leave(self, m, sums, ends, beats):
        """A row's sums are copied, and leave some lanes a clock: rounded, with their magnitudes."""
        parameters, store, lanes = self.parameters, self.store, self.parameters.output_lanes
        to_copy = parameters.sum_cycles - 1
        early = delayed(m, ends, to_copy - 1, name="early", resets=True)
        copied = delayed(m, early, 1, name="copied", resets=True)
        groups = copies(1, -(-len(sums) // PLACES_OF_A_COPY), name="copying")
        m.d.sync += [group.eq(early) for group in groups]
        waiting = [Signal.like(total, name=f"waiting_{place}") for place, total in enumerate(sums)]
        for place, total in enumerate(sums):
            above = waiting[place + lanes] if place + lanes < len(sums) else 0
            m.d.sync += waiting[place].eq(Mux(groups[place // PLACES_OF_A_COPY], total, above))

        # Beats of the row that still wait.
        left = Signal.like(beats)
        first = delayed(m, copied, 1, name="first")
        leaves = left != 0
        number = delayed(m, self.weights.payload.number, to_copy, name="number")
        named = Signal.like(number, reset_less=True)
        many = delayed(m, beats, to_copy, name="beats")
        with m.If(copied):
            m.d.sync += [left.eq(many), named.eq(number)]
        with m.Elif(leaves):
            m.d.sync += left.eq(left - 1)

        latency = parameters.output_cycles - 1
        outputs = [self._rounded(m, value, lane) for lane, value in enumerate(waiting[:lanes])]
        magnitudes = []
        for lane, output in enumerate(outputs):
            magnitude = Signal(parameters.output_bits, name=f"magnitude_{lane}", reset_less=True)
            m.d.sync += magnitude.eq(Mux(output[-1], -output, output))
            magnitudes.append(magnitude)
        line = added(m, magnitudes, name="magnitudes")
        total = Signal(parameters.magnitude_bits, reset_less=True)
        opens = delayed(m, first, latency - 1, name="opens_total")
        there = delayed(m, leaves, latency - 1, name="there_total", resets=True)
        with m.If(there):
            m.d.sync += total.eq(Mux(opens, 0, total) + line)

        wiring.connect(m, store.given, wiring.flipped(self.results))
        m.d.comb += [
            store.issued.eq(leaves),
            store.arrives.eq(delayed(m, leaves, latency, name="arrives", resets=True)),
            store.beat.outputs.eq(Cat(delayed(m, one, latency - 2, name="output") for one in outputs)),
            store.beat.number.eq(delayed(m, named, latency, name="named")),
            store.beat.magnitude.eq(total),
            store.beat.last.eq(delayed(m, left == 1, latency, name="last_out")),
        ]

    def _rounded(self, m, value, lane):
        """A sum as golden rounds it, two clocks later."""
        parameters, drop = self.parameters, self.parameters.dropped_bits
        up = Signal(name=f"up_{lane}", reset_less=True)
        floor = Signal(signed(len(value) - drop), name=f"floor_{lane}", reset_less=True)
        rounded = Signal(signed(parameters.output_bits), name=f"rounded_{lane}", reset_less=True)
        if drop:
            rest = value[: drop - 1].any()
            m.d.sync += up.eq(rounds_up(value[drop], value[drop - 1], rest, parameters.rounding))
        m.d.sync += [floor.eq(value >> drop), rounded.eq(floor + up)]
        return rounded
