# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds a buffer that nobody elaborates.
"""Requests for V, and what becomes of them: vectors of the store, or, row by row, of memory."""

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.spatten.parameters import Machine as Parameters
from accelsim_rtl.fifo import Fifo
from accelsim_rtl.layouts import layout


class Requests(Component):
    """requests: lines of V that the pipeline asks for. gathers: the same for the store, or, if V is streamed,
    rows: the head of each row, and asked: the places of its vectors. begins: of a layer."""

    def __init__(self, parameters: Parameters, registers):
        self.parameters, self.registers = parameters, registers
        super().__init__(
            {
                "begins": In(1),
                "requests": In(stream.Signature(layout(parameters.head.value_requests))),
                "gathers": Out(stream.Signature(layout(parameters.gathering))),
                "rows": Out(stream.Signature(parameters.place_bits)),
                "asked": Out(stream.Signature(parameters.head.selection.topk.index_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, registers = self.parameters, self.registers
        m.submodules.waiting = waiting = Fifo(parameters.asked)
        request = layout(parameters.head.value_requests)(waiting.leaving.payload)
        there, streamed = waiting.leaving.valid, registers.layer_streamed
        head = Signal(parameters.place_bits)
        kept = Signal.like(registers.layer_queries)
        place = Signal(request["count"].shape())
        begun = Signal()
        token = Signal()
        finishes = Signal()
        whole = Signal()
        m.d.comb += [
            waiting.entering.valid.eq(self.requests.valid),
            waiting.entering.payload.eq(self.requests.payload),
            self.requests.ready.eq(waiting.entering.ready),
            self.gathers.valid.eq(there & ~streamed),
            self.gathers.payload["count"].eq(request["count"]),
            self.gathers.payload.releases.eq(request.last & whole),
            self.rows.valid.eq(there & streamed & ~begun),
            self.rows.payload.eq(head),
            self.asked.valid.eq(there & begun),
            self.asked.payload.eq(Array(request.indices)[place]),
            token.eq(self.asked.valid & self.asked.ready),
            finishes.eq(token & (place + 1 == request["count"])),
            waiting.leaving.ready.eq(finishes | (self.gathers.valid & self.gathers.ready)),
            whole.eq(kept + 1 == registers.layer_queries),
        ]
        m.d.comb += [
            self.gathers.payload.indices[vector].eq(request.indices[vector])
            for vector in range(parameters.vectors)
        ]
        with m.If(self.rows.valid & self.rows.ready):
            m.d.sync += begun.eq(1)
        with m.If(token):
            m.d.sync += place.eq(place + 1)
        with m.If(finishes):
            m.d.sync += place.eq(0)
        with m.If(there & waiting.leaving.ready & request.last):
            m.d.sync += [begun.eq(0), kept.eq(kept + 1)]
            with m.If(whole):
                m.d.sync += [kept.eq(0), head.eq(head + 1)]
        with m.If(self.begins):
            m.d.sync += head.eq(0)
        return m
