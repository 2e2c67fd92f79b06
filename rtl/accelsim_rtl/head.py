# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds parts that nobody elaborates.
"""The head pipeline of SpAtten: its units, the buffers between them, and what each row leaves for them."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.head import NOTHING
from accelsim.units.head import Head as Parameters
from accelsim.units.score_accumulator import ADD
from accelsim_rtl.decision import Decision
from accelsim_rtl.dot_product import DotProduct
from accelsim_rtl.fifo import Fifo
from accelsim_rtl.layouts import layout
from accelsim_rtl.score_accumulator import ScoreAccumulator, sums_layout
from accelsim_rtl.score_scale import ScoreScale
from accelsim_rtl.softmax import Softmax
from accelsim_rtl.topk.pipeline import copies
from accelsim_rtl.value_product import ValueProduct
from accelsim_rtl.value_selection import ValueSelection

PLACES_OF_A_COPY = 16
"""Multipliers that share a register that says which bits of a key are left out."""


class Head(Component):
    """queries, keys, values, importance in; refetch, requests, results, sums out: see docs/rtl_spatten.md.

    Probes: scored, powered, stored, loading, passes: those of the softmax, the decision and the selection.
    Latency and throughput: those of the units; rows follow each other without a gap.
    """

    def __init__(self, parameters: Parameters, *, target=None):
        self.parameters, self.target = parameters, target
        self.softmax = Softmax(parameters.softmax, target=target)
        self.selection = ValueSelection(parameters.selection, target=target)
        self.product = ValueProduct(parameters.product, target=target)
        super().__init__(
            {
                "queries": In(stream.Signature(layout(parameters.queries))),
                "keys": In(stream.Signature(layout(parameters.key_lines))),
                "values": In(stream.Signature(layout(parameters.product.values))),
                "importance": In(stream.Signature(layout(parameters.importance))),
                "refetch": Out(stream.Signature(parameters.tag.fields["number"].bits)),
                "requests": Out(stream.Signature(layout(parameters.value_requests))),
                "results": Out(stream.Signature(layout(parameters.product.results))),
                "sums": Out(stream.Signature(sums_layout(parameters.accumulator))),
                "scored": Out(self.softmax.scored.shape()),
                "powered": Out(self.softmax.powered.shape()),
                "stored": Out(range(parameters.decision.store_lines + 1)),
                "loading": Out(1),
                "passes": Out(self.selection.passes.shape()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, target = self.parameters, self.target
        m.submodules.softmax = softmax = self.softmax
        m.submodules.dot = dot = DotProduct(parameters.dot, target=target)
        m.submodules.scale = scale = ScoreScale(parameters.scale, target=target)
        m.submodules.decision = decision = Decision(parameters.decision, target=target)

        self._begin(m, dot, scale, decision)
        _joined(m, dot.scores, scale.sums)
        _joined(m, scale.scores, softmax.scores)
        _joined(m, softmax.probabilities, decision.probabilities)
        m.d.comb += [
            self.refetch.valid.eq(decision.refetch.valid),
            self.refetch.payload.eq(decision.refetch.payload),
            decision.refetch.ready.eq(self.refetch.ready),
            self.scored.eq(softmax.scored),
            self.powered.eq(softmax.powered),
            self.stored.eq(decision.stored),
            self.loading.eq(self.selection.loading),
            self.passes.eq(self.selection.passes),
        ]
        self._keep(m, decision.kept)
        self._weigh(m)
        return m

    def _begin(self, m, dot, scale, decision):
        """A query goes to QxK and leaves its numbers for the scaling and the decision."""
        parameters, query = self.parameters, self.queries.payload
        m.submodules.scale_rows = scale_rows = Fifo(parameters.scale_rows)
        m.submodules.decision_rows = decision_rows = Fifo(parameters.decision_rows)
        rooms = scale_rows.entering.ready & decision_rows.entering.ready
        takes, levels = Signal(), parameters.dot.levels
        tag = layout(parameters.tag)(Signal(parameters.tag.width, name="tag"))
        scaling = layout(parameters.scale.rows)(scale_rows.entering.payload)
        m.d.comb += [
            dot.queries.valid.eq(self.queries.valid & rooms),
            self.queries.ready.eq(dot.queries.ready & rooms),
            takes.eq(self.queries.valid & self.queries.ready),
            dot.queries.payload.level.eq(query.level),
            tag.number.eq(query.number),
            tag["keys"].eq(query["keys"]),
            tag["values"].eq(query["values"]),
            tag.spread.eq(levels - query.value_level),
            tag.counts.eq(query.counts),
            scaling.scale.eq(query.scale),
            scaling.shift.eq(query.shift),
            scaling.visible.eq(query.visible),
            scaling.spread.eq(levels - query.level),
            scale_rows.entering.valid.eq(takes),
            decision_rows.entering.valid.eq(takes),
            decision_rows.entering.payload.eq(Cat(tag, query.threshold, query.whole)),
            dot.keys.valid.eq(self.keys.valid),
            dot.keys.payload.last.eq(self.keys.payload.last),
            self.keys.ready.eq(dot.keys.ready),
        ]
        _joined(m, scale_rows.leaving, scale.rows)
        _joined(m, decision_rows.leaving, decision.rows)

        # Bits that this row leaves out, of its query and of its keys.
        taken = Cat(query.ignored <= bit for bit in range(parameters.operand_bits))
        groups = copies(parameters.operand_bits, -(-parameters.multipliers // PLACES_OF_A_COPY), name="taken")
        with m.If(takes):
            m.d.sync += [group.eq(taken) for group in groups]
        for place in range(parameters.multipliers):
            m.d.comb += [
                dot.queries.payload.operands[place].eq(query.operands[place] & taken),
                dot.keys.payload.operands[place].eq(
                    self.keys.payload.operands[place] & groups[place // PLACES_OF_A_COPY]
                ),
            ]

    def _keep(self, m, kept):
        """A line that is kept goes to the importance of its keys and to the selection, both at once."""
        parameters, selection = self.parameters, self.selection.probabilities
        m.submodules.selection = self.selection
        m.submodules.added_lines = lines = Fifo(parameters.added_lines)
        m.submodules.added_rows = rows = Fifo(parameters.added_rows)
        tag = layout(parameters.tag)(kept.payload.tag)
        opened = Signal()
        goes = Signal()
        rooms = lines.entering.ready & rows.entering.ready
        m.d.comb += [
            kept.ready.eq(rooms & selection.ready),
            goes.eq(kept.valid & kept.ready),
            selection.valid.eq(kept.valid & rooms),
            selection.payload.probabilities.eq(kept.payload.probabilities),
            selection.payload.last.eq(kept.payload.last),
            selection.payload.number.eq(tag.number),
            selection.payload["keys"].eq(tag["keys"]),
            selection.payload["values"].eq(tag["values"]),
            selection.payload.spread.eq(tag.spread),
            lines.entering.valid.eq(goes & tag.counts),
            lines.entering.payload.eq(kept.payload.probabilities),
            rows.entering.valid.eq(goes & tag.counts & ~opened),
            rows.entering.payload.eq(tag["keys"]),
        ]
        with m.If(goes):
            m.d.sync += opened.eq(~kept.payload.last)
        self._accumulate(m, lines, rows)

    def _accumulate(self, m, lines, rows):
        """The program's step in work: rows that it waits for, then its operation."""
        parameters = self.parameters
        m.submodules.accumulator = accumulator = ScoreAccumulator(parameters.accumulator, target=self.target)
        task = Signal(layout(parameters.importance), reset_less=True)
        there = Signal()
        waits = Signal()
        idle = Signal()
        request = accumulator.request
        goes = request.valid & request.ready
        m.d.comb += [
            waits.eq(there & (task.rows != 0)),
            idle.eq(task.operation == NOTHING),
            request.valid.eq(there & Mux(waits, rows.leaving.valid, ~idle)),
            request.payload.operation.eq(Mux(waits, ADD, task.operation)),
            request.payload["count"].eq(Mux(waits, rows.leaving.payload, task["count"])),
            rows.leaving.ready.eq(waits & goes),
            self.importance.ready.eq(~there),
        ]
        _joined(m, lines.leaving, accumulator.scores)
        wiring.connect(m, accumulator.sums, wiring.flipped(self.sums))
        with m.If(~there):
            m.d.sync += [there.eq(self.importance.valid), task.eq(self.importance.payload)]
        with m.Elif(waits):
            m.d.sync += task.rows.eq(task.rows - goes)
        with m.Else():
            m.d.sync += there.eq(~(goes | idle))

    def _weigh(self, m):
        """What the selection keeps: V is asked for, and probabilities wait for it."""
        parameters, selected = self.parameters, self.selection.selected
        m.submodules.product = product = self.product
        m.submodules.weights = weights = Fifo(parameters.weights)
        fields = layout(parameters.product.weights)(weights.entering.payload)
        chosen, asked = selected.payload, self.requests.payload
        m.d.comb += [
            self.requests.valid.eq(selected.valid & weights.entering.ready),
            selected.ready.eq(self.requests.ready & weights.entering.ready),
            weights.entering.valid.eq(selected.valid & self.requests.ready),
            asked.indices.eq(chosen.indices),
            asked["count"].eq(chosen["count"]),
            asked.last.eq(chosen.last),
            asked.number.eq(chosen.number),
            fields.probabilities.eq(chosen.probabilities),
            fields.level.eq(parameters.product.levels - chosen.spread),
            fields.number.eq(chosen.number),
            fields.last.eq(chosen.last),
        ]
        _joined(m, weights.leaving, product.weights)
        wiring.connect(m, wiring.flipped(self.values), product.values)
        wiring.connect(m, product.results, wiring.flipped(self.results))


def _joined(m, source, sink):
    """Two streams whose payloads are laid out alike, or packed."""
    m.d.comb += [
        sink.valid.eq(source.valid),
        sink.payload.eq(source.payload),
        source.ready.eq(sink.ready),
    ]
