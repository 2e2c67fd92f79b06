"""Vectors of a store put side by side: a line of it a clock, of which all that is asked for is taken."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.fifo import Fifo as FifoParameters
from accelsim.units.spatten.gather import STEPS
from accelsim.units.spatten.parameters import Machine as Parameters
from accelsim_rtl.fifo import Fifo
from accelsim_rtl.layouts import layout
from accelsim_rtl.vector_store import lines_layout, reads_layout


class Gather(Component):
    """requests: places of vectors, ascending, and whether the half is free behind them; none: it is at once.

    reads, lines: of a store, a vector in 2^shift pieces of it. vectors: a line, zero where nothing is asked
    for. Throughput: a line of the store a clock; a request costs none. Latency: a clock before the store, a
    clock behind it.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        super().__init__(
            {
                "requests": In(stream.Signature(layout(parameters.gathering))),
                "shift": In(parameters.shift_bits),
                "reads": Out(stream.Signature(reads_layout(parameters.store))),
                "lines": In(stream.Signature(lines_layout(parameters.store))),
                "vectors": Out(stream.Signature(parameters.banks * parameters.store.piece_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters = self.parameters
        banks, many = parameters.banks, parameters.vectors
        bank_bits = (banks - 1).bit_length()

        # The request in work; where its vectors begin, in pieces; how many are asked for already.
        there = Signal()
        request = Signal(layout(parameters.gathering), reset_less=True)
        placed = Signal(request["count"].shape())
        firsts = []
        for vector in range(many):
            first = Signal(len(request.indices[0]) + bank_bits, name=f"first_{vector}")
            m.d.comb += first.eq(request.indices[vector] << self.shift)
            firsts.append(first)

        # Of the next line all that is asked for.
        line = Signal(len(firsts[0]) - bank_bits)
        taken = Signal(many)
        behind = Signal.like(placed)
        last = Signal()
        nothing = Signal()
        asks = Signal()
        step = data.StructLayout({"taken": many, "offsets": data.ArrayLayout(bank_bits, many), "last": 1})
        m.submodules.steps = steps = Fifo(FifoParameters(depth=STEPS, bits=step.size))
        entering = step(steps.entering.payload)
        m.d.comb += [
            line.eq(Array(first[bank_bits:] for first in firsts)[placed]),
            taken.eq(
                Cat(
                    (placed <= vector) & (request["count"] > vector) & (first[bank_bits:] == line)
                    for vector, first in enumerate(firsts)
                )
            ),
            behind.eq(placed + sum(taken)),
            last.eq(behind == request["count"]),
            nothing.eq(request["count"] == 0),
            self.reads.valid.eq(there & (nothing | steps.entering.ready)),
            self.reads.payload.pieces.eq(Mux(nothing, 0, banks)),
            self.reads.payload.releases.eq(last & request.releases),
            self.reads.payload.first.eq(Mux(nothing, 0, line)),
            asks.eq(self.reads.valid & self.reads.ready),
            steps.entering.valid.eq(asks & ~nothing),
            entering.taken.eq(taken),
            entering.last.eq(last),
            self.requests.ready.eq(~there | (asks & last)),
        ]
        m.d.comb += [entering.offsets[vector].eq(first[:bank_bits]) for vector, first in enumerate(firsts)]
        with m.If(self.requests.ready):
            m.d.sync += [there.eq(self.requests.valid), request.eq(self.requests.payload), placed.eq(0)]
        with m.Elif(asks):
            m.d.sync += placed.eq(behind)

        # Pieces of a line go where their vectors are asked for.
        joins = Signal()
        done = step(steps.leaving.payload)
        m.d.comb += [
            self.lines.ready.eq(~self.vectors.valid | self.vectors.ready),
            joins.eq(self.lines.valid & self.lines.ready),
            steps.leaving.ready.eq(joins),
        ]
        free = self.vectors.valid & self.vectors.ready
        with m.If(joins):
            m.d.sync += self.vectors.valid.eq(done.last)
        with m.Elif(free):
            m.d.sync += self.vectors.valid.eq(0)
        bits = parameters.store.piece_bits
        pieces = Array(self.lines.payload.operands.as_value()[bank * bits :][:bits] for bank in range(banks))
        for bank in range(banks):
            here, source = Signal(name=f"here_{bank}"), Signal(max(1, bank_bits), name=f"source_{bank}")
            # The vector that this piece belongs to, and its place within it, by the length of vectors.
            for shift in range(bank_bits + 1):
                vector, within = bank >> shift, bank % (1 << shift)
                if vector < many:
                    with m.If(self.shift == shift):
                        m.d.comb += [here.eq(done.taken[vector]), source.eq(done.offsets[vector] | within)]
            kept = Signal(bits, name=f"piece_{bank}")
            m.d.comb += self.vectors.payload[bank * bits : (bank + 1) * bits].eq(kept)
            with m.If(joins & here):
                m.d.sync += kept.eq(pieces[source])
            with m.Elif(free):
                m.d.sync += kept.eq(0)
        return m
