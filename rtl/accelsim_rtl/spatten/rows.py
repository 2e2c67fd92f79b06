# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds a buffer that nobody elaborates.
"""Which row goes to the head pipeline, what is read for it, and the program of the tokens' importance."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from accelsim.golden.topk import LFSR_BITS
from accelsim.units.head import NOTHING
from accelsim.units.score_accumulator import CLEAR, READ
from accelsim.units.spatten.parameters import Machine as Parameters
from accelsim.units.spatten.rows import FIRST_STEPS
from accelsim_rtl.fifo import Fifo
from accelsim_rtl.layouts import layout
from accelsim_rtl.vector_store import reads_layout


class Rows(Component):
    """begins: a layer of `tokens` and `heads`. again: numbers of flat rows. kept: one more row asks for its
    last V. query_requests: to the gatherer of queries, which answers on `operands`; key_reads: to the store
    of keys. queries: rows for the pipeline; `sends_again`: the one that is taken was flat. least: the head
    whose least significant parts are wanted. program: of the importance.
    """

    def __init__(self, parameters: Parameters, registers):
        self.parameters, self.registers = parameters, registers
        head = parameters.head
        super().__init__(
            {
                "begins": In(1),
                "tokens": In(parameters.listing.fields["count"].bits),
                "heads": In(range(parameters.heads + 1)),
                "again": In(stream.Signature(LFSR_BITS)),
                "kept": In(1),
                "query_requests": Out(stream.Signature(layout(parameters.gathering))),
                "operands": In(stream.Signature(parameters.banks * parameters.store.piece_bits)),
                "key_reads": Out(stream.Signature(reads_layout(parameters.store))),
                "queries": Out(stream.Signature(layout(head.queries))),
                "sends_again": Out(1),
                "least": Out(stream.Signature(parameters.place_bits)),
                "program": Out(stream.Signature(layout(head.importance))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, registers = self.parameters, self.registers
        m.submodules.flat = flat = Fifo(parameters.again)
        m.d.comb += [
            flat.entering.valid.eq(self.again.valid),
            flat.entering.payload.eq(self.again.payload),
            self.again.ready.eq(flat.entering.ready),
        ]

        # The head in work: the number of its first row, the next query, rows that are not kept yet.
        head = Signal(parameters.place_bits)
        left = Signal.like(self.heads)
        first = Signal(LFSR_BITS)
        following = Signal.like(registers.layer_queries)
        undecided = Signal(range(parameters.rows + 1))
        asked = Signal()
        progressive = Signal()
        m.d.comb += progressive.eq(registers.score_ignored != 0)

        # The row in hand.
        there = Signal()
        asks = Signal()
        place = Signal.like(registers.layer_queries)
        number = Signal(LFSR_BITS)
        least = Signal()
        whole = Signal()
        last = Signal()
        sent = Signal()

        # Which row is next: a flat one, a new one, or none, and then a head may end.
        free = Signal()
        returns = Signal()
        enters = Signal()
        ends = Signal()
        releases = Signal()
        empty = following == registers.layer_queries
        m.d.comb += [
            free.eq(~there & ~asks & ~self.key_reads.valid & (left != 0)),
            returns.eq(free & flat.leaving.valid),
            flat.leaving.ready.eq(returns),
            enters.eq(free & ~flat.leaving.valid & ~empty & (undecided != parameters.rows)),
            ends.eq(enters & ~progressive & (following + 1 == registers.layer_queries)),
            releases.eq(free & ~returns & ~enters & empty & (undecided == 0)),
        ]
        m.d.sync += undecided.eq(undecided + enters - self.kept)
        with m.If(sent):
            m.d.sync += there.eq(0)
        with m.If(returns | enters):
            m.d.sync += [
                there.eq(1),
                place.eq(Mux(returns, flat.leaving.payload - first, following)),
                number.eq(Mux(returns, flat.leaving.payload, first + following)),
                least.eq(returns),
                whole.eq(returns | ~progressive),
                last.eq(ends),
            ]
        with m.If(returns | enters | releases):
            m.d.sync += asks.eq(1)
        with m.Elif(self.query_requests.ready):
            m.d.sync += asks.eq(0)
        with m.If(returns):
            m.d.sync += asked.eq(1)
        with m.If(returns & ~asked):
            m.d.sync += self.least.valid.eq(1)
        with m.Elif(self.least.ready):
            m.d.sync += self.least.valid.eq(0)
        m.d.sync += following.eq(following + enters)
        with m.If(ends | releases):
            m.d.sync += [
                head.eq(head + 1),
                left.eq(left - 1),
                first.eq(first + registers.layer_queries),
                following.eq(0),
                asked.eq(0),
            ]
        with m.If(self.begins):
            m.d.sync += [head.eq(0), left.eq(self.heads), first.eq(0), following.eq(0)]

        # Its query, or that the half of the queries is free.
        m.d.comb += [
            self.query_requests.valid.eq(asks),
            self.query_requests.payload.indices[0].eq(place),
            self.query_requests.payload["count"].eq(there),
            self.query_requests.payload.releases.eq(~there | last),
            self.least.payload.eq(head),
        ]
        self._send(m, there, asks, place, number, whole, sent)
        shift = Signal(parameters.shift_bits)
        m.d.comb += [
            shift.eq(registers.vectors_level - parameters.lane_level),
            self.sends_again.eq(sent & least),
        ]

        # Its keys are asked for before it is taken, so that rows follow each other without a gap.
        reads = self.key_reads.payload
        with m.If(returns | enters | releases):
            m.d.sync += [
                self.key_reads.valid.eq(1),
                reads.pieces.eq(Mux(releases, 0, self.tokens << shift)),
                reads.least.eq(returns),
                reads.releases.eq(ends | releases),
            ]
        with m.Elif(self.key_reads.ready):
            m.d.sync += self.key_reads.valid.eq(0)
        self._program(m)
        return m

    def _send(self, m, there, asks, place, number, whole, sent):
        """A row and its numbers, once its query is there."""
        parameters, registers, query = self.parameters, self.registers, self.queries.payload
        sees = registers.layer_visible + place
        numbers = {
            "number": number,
            "level": registers.vectors_level,
            "value_level": registers.vectors_value_level,
            "keys": self.tokens,
            "visible": Mux(registers.layer_causal & (sees < self.tokens), sees, self.tokens),
            "values": registers.layer_values,
            "scale": registers.score_scale,
            "shift": registers.score_shift,
            "threshold": registers.score_threshold,
            "ignored": Mux(whole, 0, registers.score_ignored),
            "whole": whole,
            "counts": 1,
        }
        m.d.comb += [query[name].eq(value) for name, value in numbers.items()]
        operands = Cat(query.operands[lane] for lane in range(parameters.head.multipliers))
        m.d.comb += [
            operands.eq(self.operands.payload),
            self.queries.valid.eq(there & ~asks & self.operands.valid),
            sent.eq(self.queries.valid & self.queries.ready),
            self.operands.ready.eq(sent),
        ]

    def _program(self, m):
        """Clear, wait for the rows of each head, read."""
        registers, step = self.registers, self.program.payload
        left = Signal(range(self.parameters.heads + FIRST_STEPS + 1))
        clears = Signal()
        waits = Signal()
        m.d.comb += [
            waits.eq(~clears & (left != 1)),
            self.program.valid.eq(left != 0),
            step.operation.eq(Mux(clears, CLEAR, Mux(waits, NOTHING, READ))),
            step["count"].eq(self.tokens),
            step.rows.eq(Mux(waits, registers.layer_queries, 0)),
        ]
        with m.If(self.program.valid & self.program.ready):
            m.d.sync += [left.eq(left - 1), clears.eq(0)]
        with m.If(self.begins):
            m.d.sync += [left.eq(self.heads + FIRST_STEPS), clears.eq(1)]
