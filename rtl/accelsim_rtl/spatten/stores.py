# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds stores that nobody elaborates.
"""The stores of queries, keys and values: pieces in; a query, lines of keys and gathered lines of V out."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.spatten.parameters import KEY, QUERY, VALUE
from accelsim.units.spatten.parameters import Machine as Parameters
from accelsim_rtl.layouts import layout
from accelsim_rtl.spatten.gather import Gather
from accelsim_rtl.vector_store import VectorStore, fills_layout, lines_layout, piece_layout, reads_layout


class Stores(Component):
    """fills, pieces, last: for the store of a kind, or, where V is streamed, for the line of a row.

    query_requests, value_requests: to the gatherers; key_reads: to the store of keys. query, keys, values:
    lines. releases: a half of each store will be free.
    """

    def __init__(self, parameters: Parameters, registers):
        self.parameters, self.registers = parameters, registers
        gathering = stream.Signature(layout(parameters.gathering))
        line = stream.Signature(parameters.banks * parameters.store.piece_bits)
        super().__init__(
            {
                "kind": In(2),
                "last": In(1),
                "fills": In(stream.Signature(fills_layout(parameters.store))),
                "pieces": In(stream.Signature(piece_layout(parameters.store))),
                "query_requests": In(gathering),
                "key_reads": In(stream.Signature(reads_layout(parameters.store))),
                "value_requests": In(gathering),
                "query": Out(line),
                "keys": Out(stream.Signature(lines_layout(parameters.store))),
                "values": Out(line),
                "releases": Out(3),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, registers = self.parameters, self.registers
        streamed = registers.layer_streamed
        m.submodules.queries = queries = VectorStore(parameters.store)
        m.submodules.keys = keys = VectorStore(parameters.store)
        m.submodules.values = values = VectorStore(parameters.store)
        m.submodules.query_gather = query_gather = Gather(parameters)
        m.submodules.value_gather = value_gather = Gather(parameters)

        # Pieces to the store of their kind, or to the line of a row.
        stores = {QUERY: queries, KEY: keys, VALUE: values}
        to_line = Signal()
        line_ready = Signal()
        m.d.comb += to_line.eq((self.kind == VALUE) & streamed)
        for kind, store in stores.items():
            here = Signal(name=f"here_{kind}")
            m.d.comb += [
                here.eq((self.kind == kind) & ~to_line),
                store.fills.valid.eq(self.fills.valid & here),
                store.fills.payload.eq(self.fills.payload),
                store.pieces.valid.eq(self.pieces.valid & here),
                store.pieces.payload.eq(self.pieces.payload),
            ]
        m.d.comb += [
            self.fills.ready.eq(Array(store.fills.ready for store in stores.values())[self.kind]),
            self.pieces.ready.eq(
                Mux(to_line, line_ready, Array(store.pieces.ready for store in stores.values())[self.kind])
            ),
        ]

        # Queries and values are gathered, keys are read as they lie.
        for store, gather, requests, level in (
            (queries, query_gather, self.query_requests, registers.vectors_level),
            (values, value_gather, self.value_requests, registers.vectors_value_level),
        ):
            wiring.connect(m, wiring.flipped(requests), gather.requests)
            wiring.connect(m, gather.reads, store.reads)
            wiring.connect(m, store.lines, gather.lines)
            m.d.comb += gather.shift.eq(level - parameters.lane_level)
        wiring.connect(m, wiring.flipped(self.key_reads), keys.reads)
        wiring.connect(m, keys.lines, wiring.flipped(self.keys))
        wiring.connect(m, query_gather.vectors, wiring.flipped(self.query))
        line = self._line(m, to_line, line_ready)
        m.d.comb += [
            self.values.valid.eq(Mux(streamed, line.valid, value_gather.vectors.valid)),
            self.values.payload.eq(Mux(streamed, line.payload, value_gather.vectors.payload)),
            line.ready.eq(streamed & self.values.ready),
            value_gather.vectors.ready.eq(~streamed & self.values.ready),
            self.releases.eq(
                Cat(
                    one.valid & one.ready & one.payload.releases
                    for one in (self.query_requests, self.key_reads, self.value_requests)
                )
            ),
        ]
        return m

    def _line(self, m, to_line, ready):
        """Pieces that come for one row, side by side, until a line is whole or the row ends."""
        parameters = self.parameters
        banks, bits = parameters.banks, parameters.store.piece_bits
        line = stream.Signature(banks * bits).create(path=("row_line",))
        place = Signal(range(banks))
        takes = Signal()
        ends = Signal()
        m.d.comb += [
            ready.eq(~line.valid | line.ready),
            takes.eq(self.pieces.valid & to_line & ready),
            ends.eq(takes & (self.last | (place == banks - 1))),
        ]
        with m.If(takes):
            m.d.sync += [line.valid.eq(ends), place.eq(Mux(ends, 0, place + 1))]
        with m.Elif(line.ready):
            m.d.sync += line.valid.eq(0)
        kept = Cat(line.payload)
        for bank in range(banks):
            part = kept[bank * bits : (bank + 1) * bits]
            with m.If(takes & (place == bank)):
                m.d.sync += part.eq(
                    Cat(self.pieces.payload.operands[lane] for lane in range(parameters.lanes))
                )
            with m.Elif(line.valid & line.ready):
                m.d.sync += part.eq(0)
        return line
