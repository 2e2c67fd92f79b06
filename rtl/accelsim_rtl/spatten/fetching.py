# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds units that nobody elaborates.
"""From jobs to pieces for the stores: fetcher, converter, and the buffers in which jobs wait."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.spatten.parameters import KEY, LEAST, VALUE
from accelsim.units.spatten.parameters import Machine as Parameters
from accelsim_rtl.axi.channels import read_channels
from accelsim_rtl.bit_width_converter import BitWidthConverter
from accelsim_rtl.fetcher import Fetcher
from accelsim_rtl.fifo import Fifo
from accelsim_rtl.layouts import layout
from accelsim_rtl.spatten.jobs import Tokens, jobs_layout
from accelsim_rtl.vector_store import fills_layout, piece_layout


class Fetching(Component):
    """jobs in. fills, pieces: for the store of `kind`, `last` of a job. place, position: of the list of kept
    tokens; asked: places that a row wants. m_axi_0, ...: memory. moves, error: a burst is asked for, a beat
    came with an error."""

    def __init__(self, parameters: Parameters, registers):
        self.parameters, self.registers = parameters, registers
        self.fetcher = Fetcher(parameters.fetcher)
        index = parameters.head.selection.topk.index_bits
        buses = {}
        for channel in range(parameters.channels):
            buses |= read_channels(parameters.fetcher.port, f"m_axi_{channel}")
        super().__init__(
            {
                "jobs": In(stream.Signature(jobs_layout(parameters))),
                "place": Out(index),
                "position": In(parameters.position_bits),
                "asked": In(stream.Signature(index)),
                "kind": Out(2),
                "fills": Out(stream.Signature(fills_layout(parameters.store))),
                "pieces": Out(stream.Signature(piece_layout(parameters.store))),
                "last": Out(1),
                "moves": Out(1),
                "error": Out(1),
                **buses,
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters = self.parameters
        m.submodules.fetcher = fetcher = self.fetcher
        m.submodules.converter = converter = BitWidthConverter(parameters.converter)
        m.submodules.tokens = tokens = Tokens(parameters)

        # A job is taken when all that it is for have room.
        waiting = {name: Fifo(fifo) for name, fifo in parameters.jobs.items()}
        job = self.jobs.payload
        parts = {name: getattr(job, name) for name in waiting}
        m.d.comb += self.jobs.ready.eq(Cat(fifo.entering.ready for fifo in waiting.values()).all())
        for name, fifo in waiting.items():
            m.submodules[name] = fifo
            m.d.comb += [
                fifo.entering.valid.eq(self.jobs.valid & self.jobs.ready),
                fifo.entering.payload.eq(parts[name]),
            ]
        for name, sink in (
            ("fetch", fetcher.requests),
            ("listing", tokens.listings),
            ("conversion", converter.request),
        ):
            leaving = waiting[name].leaving
            m.d.comb += [
                sink.valid.eq(leaving.valid),
                sink.payload.eq(leaving.payload),
                leaving.ready.eq(sink.ready),
            ]
        wiring.connect(m, tokens.tokens, fetcher.tokens)
        wiring.connect(m, wiring.flipped(self.asked), tokens.asked)
        m.d.comb += [
            self.place.eq(tokens.place),
            tokens.position.eq(self.position),
            converter.beats.valid.eq(fetcher.beats.valid),
            converter.beats.payload.eq(fetcher.beats.payload.data),
            fetcher.beats.ready.eq(converter.beats.ready),
            self.moves.eq(fetcher.moves),
            self.error.eq(fetcher.beats.valid & fetcher.beats.ready & fetcher.beats.payload.error),
        ]
        for channel in range(parameters.channels):
            address, answer = f"m_axi_{channel}_ar", f"m_axi_{channel}_r"
            wiring.connect(m, getattr(fetcher, address), wiring.flipped(getattr(self, address)))
            wiring.connect(m, wiring.flipped(getattr(self, answer)), getattr(fetcher, answer))

        # Before the first piece of a job its store is asked.
        routes = waiting["route"].leaving
        route = layout(parameters.route)(routes.payload)
        opened = Signal()
        left = Signal.like(route.pieces)
        streams = Signal()
        opens = Signal()
        moves = Signal()
        pieces = self.pieces.payload.operands
        m.d.comb += [
            streams.eq((route.kind == VALUE) & self.registers.layer_streamed),
            self.kind.eq(Mux(route.kind == LEAST, KEY, route.kind)),
            self.fills.valid.eq(routes.valid & ~opened & ~streams),
            self.fills.payload.pieces.eq(route.pieces),
            self.fills.payload.least.eq(route.kind == LEAST),
            opens.eq(routes.valid & ~opened & (streams | self.fills.ready)),
            self.pieces.valid.eq(opened & converter.operands.valid),
            converter.operands.ready.eq(opened & self.pieces.ready),
            moves.eq(self.pieces.valid & self.pieces.ready),
            self.last.eq(left == 1),
            routes.ready.eq(moves & self.last),
        ]
        m.d.comb += [
            pieces[lane].eq(converter.operands.payload.operands[lane]) for lane in range(parameters.lanes)
        ]
        with m.If(opens):
            m.d.sync += [opened.eq(1), left.eq(route.pieces)]
        with m.Elif(moves):
            m.d.sync += [left.eq(left - 1), opened.eq(~self.last)]
        return m
