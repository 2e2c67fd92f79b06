# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds parts that nobody elaborates.
"""Local V selection of SpAtten: a top-k engine, a way around it, and lines of as many vectors as V's."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.value_selection import ValueSelection as Parameters
from accelsim_rtl.fifo import Fifo
from accelsim_rtl.layouts import layout
from accelsim_rtl.topk import TopK


class ValueSelection(Component):
    """probabilities: a line of a row, `last`; of the row: number, keys, values (those it keeps), spread.

    selected: probabilities and the keys they belong to, at most 2^spread, `count`, number, spread, last.
    Probes: loading, passes (of the engine).
    Latency and throughput: those of the engine, with a clock for each of the buffers before and behind it;
    a row that keeps all takes two clocks and a line a clock.
    """

    def __init__(self, parameters: Parameters, *, target=None):
        self.parameters, self.target = parameters, target
        self.engine = TopK(parameters.topk, target=target)
        super().__init__(
            {
                "probabilities": In(stream.Signature(layout(parameters.probabilities))),
                "selected": Out(stream.Signature(layout(parameters.selected))),
                "loading": Out(1),
                "passes": Out(self.engine.shapes.pass_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters = self.parameters
        m.submodules.engine = engine = self.engine
        m.submodules.rows = rows = Fifo(parameters.rows_fifo)
        m.submodules.requests = requests = Fifo(parameters.requests_fifo)
        m.submodules.gathered = gathered = Fifo(parameters.gathered_fifo)
        m.submodules.direct = direct = Fifo(parameters.direct_fifo)
        m.submodules.lines = lines = Fifo(parameters.lines_fifo)
        self._enter(m, rows, requests, gathered, direct)
        for source, sink in (
            (requests.leaving, engine.request),
            (gathered.leaving, engine.scores),
        ):
            m.d.comb += [
                sink.valid.eq(source.valid),
                sink.payload.eq(source.payload),
                source.ready.eq(sink.ready),
            ]
        m.d.comb += [
            engine.threshold.ready.eq(1),
            self.loading.eq(engine.loading),
            self.passes.eq(engine.passes),
        ]
        self._merge(m, rows, direct, lines)
        self._leave(m, lines)
        return m

    def _enter(self, m, rows, requests, gathered, direct):
        """A line goes to the engine, or past it; with a row's first one the row is announced."""
        parameters, line = self.parameters, self.probabilities.payload
        opened = Signal()
        enters = Signal()
        selects = Signal()
        number = Signal(parameters.direct.fields["line"].bits)
        fifos = (rows, requests, gathered, direct)
        m.d.comb += [
            self.probabilities.ready.eq(Cat(fifo.entering.ready for fifo in fifos).all()),
            enters.eq(self.probabilities.valid & self.probabilities.ready),
            selects.eq(line["values"] < line["keys"]),
            rows.entering.valid.eq(enters & ~opened),
            rows.entering.payload.eq(Cat(line.number, line.spread, selects)),
            requests.entering.valid.eq(enters & ~opened & selects),
            requests.entering.payload.eq(Cat(line["keys"], line["values"], line.number)),
        ]
        with m.If(enters):
            m.d.sync += [opened.eq(~line.last), number.eq(Mux(line.last, 0, number + 1))]

        # Lines of the engine's width: what came before this line waits in registers.
        parts, width = parameters.parts, len(line.probabilities.as_value())
        place = Signal(range(parts))
        held = [Signal(width, name=f"part_{part}", reset_less=True) for part in range(parts - 1)]
        whole = [
            Mux(place == part, line.probabilities.as_value(), held[part] if part < parts - 1 else 0)
            for part in range(parts)
        ]
        m.d.comb += [
            gathered.entering.valid.eq(enters & selects & (line.last | (place == parts - 1))),
            gathered.entering.payload.eq(Cat(whole)),
        ]
        with m.If(enters & selects):
            m.d.sync += place.eq(Mux(gathered.entering.valid, 0, place + 1))
            for part, register in enumerate(held):
                with m.If(place == part):
                    m.d.sync += register.eq(line.probabilities)

        # Lines that pass it by.
        fields = layout(parameters.direct)(direct.entering.payload)
        left = Signal.like(line["keys"])
        m.d.comb += [
            left.eq(line["keys"] - number * parameters.lanes),
            direct.entering.valid.eq(enters & ~selects),
            fields.probabilities.eq(line.probabilities),
            fields.line.eq(number),
            fields["count"].eq(Mux(left > parameters.lanes, parameters.lanes, left)),
            fields.last.eq(line.last),
        ]

    def _merge(self, m, rows, direct, lines):
        """The oldest row's lines, from where it went."""
        parameters, kept, engine = self.parameters, self.engine.kept, self.engine
        above, selects = rows.leaving.payload[:-1], rows.leaving.payload[-1]
        passed = layout(parameters.direct)(direct.leaving.payload)
        lane_bits = (parameters.lanes - 1).bit_length()
        indices = Cat(
            Cat(Const(lane, lane_bits), passed.line)[: parameters.topk.index_bits]
            for lane in range(parameters.lanes)
        )
        missing = parameters.topk.width - parameters.lanes
        bypassing = Cat(
            passed.probabilities,
            Const(0, missing * parameters.topk.bits),
            indices,
            Const(0, missing * parameters.topk.index_bits),
            passed["count"] | Const(0, engine.shapes.width.bit_length()),
            passed.last,
        )
        goes = rows.leaving.valid & lines.entering.ready
        m.d.comb += [
            kept.ready.eq(goes & selects),
            direct.leaving.ready.eq(goes & ~selects),
            lines.entering.valid.eq(rows.leaving.valid & Mux(selects, kept.valid, direct.leaving.valid)),
            lines.entering.payload.eq(Cat(Mux(selects, kept.payload.as_value(), bypassing), above)),
            rows.leaving.ready.eq(
                lines.entering.valid & lines.entering.ready & Mux(selects, kept.payload.last, passed.last)
            ),
        ]

    def _leave(self, m, lines):
        """As many of a line as a line of V has vectors, from an offset on."""
        parameters, out = self.parameters, self.selected.payload
        whole = layout(parameters.kept)(lines.leaving.payload[: parameters.kept.width])
        number, spread = layout_above(parameters, lines.leaving.payload)
        many = Signal(range(parameters.vectors + 1))
        offset = Signal(range(parameters.topk.width))
        end = Signal(range(parameters.topk.width + parameters.vectors + 1))
        ends = Signal()
        m.d.comb += [
            many.eq(1 << spread),
            end.eq(offset + many),
            ends.eq(end >= whole["count"]),
            self.selected.valid.eq(lines.leaving.valid),
            lines.leaving.ready.eq(self.selected.ready & ends),
            out["count"].eq(Mux(ends, whole["count"] - offset, many)),
            out.number.eq(number),
            out.spread.eq(spread),
            out.last.eq(ends & whole.last),
        ]
        with m.If(self.selected.valid & self.selected.ready):
            m.d.sync += offset.eq(Mux(ends, 0, end))
        for lane in range(parameters.vectors):
            there = (lane < many) & (offset + lane < whole["count"])
            for name, field in (("scores", "probabilities"), ("indices", "indices")):
                chosen = Signal(whole[name][0].shape(), name=f"{field}_{lane}")
                m.d.comb += [
                    chosen.eq(whole[name].as_value().word_select(offset + lane, len(chosen))),
                    out[field][lane].eq(Mux(there, chosen, 0)),
                ]


def layout_above(parameters, payload):
    """Number and spread of a line's row, above what the engine gives."""
    low = parameters.kept.width
    high = low + parameters.rows_fifo.bits - 1 - parameters.spread_bits
    return payload[low:high], payload[high:]
