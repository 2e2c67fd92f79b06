"""What is fetched, and when: Q, K and V of head after head, LSBs between; and the tokens of each job."""

from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.bit_width_converter import FIELDS
from accelsim.units.spatten.jobs import HALVES
from accelsim.units.spatten.parameters import ASKED, COUNTED, KEY, KINDS, LEAST, LISTED, QUERY, VALUE
from accelsim.units.spatten.parameters import Machine as Parameters
from accelsim_rtl.fetcher import request_layout, token_layout
from accelsim_rtl.layouts import layout


def jobs_layout(parameters):
    """Of a job: a request to the fetcher, its tokens, its conversion, and the way to a store."""
    return data.StructLayout(
        {
            "fetch": request_layout(parameters.fetcher),
            "listing": layout(parameters.listing),
            "conversion": data.StructLayout(dict(FIELDS)),
            "route": layout(parameters.route),
        }
    )


class Jobs(Component):
    """begins: a layer of `tokens` and `heads` does. least, values: a head whose LSBs, a row's V are wanted.

    place: in the list of heads, whose query and stored come at once. releases: a half of a store is free.
    jobs: the next one, two clocks behind the one before. registers: their fields are taken as they are.
    """

    def __init__(self, parameters: Parameters, registers):
        self.parameters, self.registers = parameters, registers
        place = stream.Signature(parameters.place_bits)
        super().__init__(
            {
                "begins": In(1),
                "tokens": In(parameters.listing.fields["count"].bits),
                "heads": In(range(parameters.heads + 1)),
                "least": In(place),
                "values": In(place),
                "place": Out(parameters.place_bits),
                "query": In(parameters.head_bits),
                "stored": In(parameters.head_bits),
                "releases": In(3),
                "jobs": Out(stream.Signature(jobs_layout(parameters))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, registers = self.parameters, self.registers
        head = Signal.like(self.place)
        kind = Signal(2)
        left = Signal.like(self.heads)
        claims = [Signal(range(HALVES + 1), name=f"claims_{KINDS[number]}") for number in (QUERY, KEY, VALUE)]

        # What comes next.
        chosen = Signal(2)
        goes = Signal()
        own = Signal()
        free = ~self.jobs.valid
        m.d.comb += [
            self.least.ready.eq(free),
            self.values.ready.eq(free & ~self.least.valid),
            own.eq(
                free & ~self.least.valid & ~self.values.valid & (left != 0) & (Array(claims)[kind] != HALVES)
            ),
            goes.eq(own | (free & (self.least.valid | self.values.valid))),
            chosen.eq(Mux(self.least.valid, LEAST, Mux(self.values.valid, VALUE, kind))),
            self.place.eq(
                Mux(self.least.valid, self.least.payload, Mux(self.values.valid, self.values.payload, head))
            ),
        ]
        last = Mux(registers.layer_streamed, KEY, VALUE)
        with m.If(own):
            m.d.sync += [kind.eq(Mux(kind == last, QUERY, kind + 1)), head.eq(head + (kind == last))]
            m.d.sync += left.eq(left - (kind == last))
        for number, claim in enumerate(claims):
            m.d.sync += claim.eq(claim + (own & (kind == number)) - self.releases[number])
        with m.If(self.begins):
            m.d.sync += [head.eq(0), kind.eq(QUERY), left.eq(self.heads)]

        # What it is.
        def of_kind(field):
            return Array(getattr(registers, f"{name}_{field}") for name in KINDS)[chosen]

        job = self.jobs.payload
        valued = Signal()
        asked = Signal()
        identity = Signal(parameters.head_bits)
        count = Signal.like(job.listing["count"])
        beats = of_kind("record_beats")
        m.d.comb += [
            valued.eq(chosen == VALUE),
            asked.eq(valued & registers.layer_streamed),
            identity.eq(Mux(chosen == QUERY, self.query, self.stored)),
            count.eq(
                Mux(chosen == QUERY, registers.layer_queries, Mux(asked, registers.layer_values, self.tokens))
            ),
        ]
        level = Mux(valued, registers.vectors_value_level, registers.vectors_level)
        shift = Signal(parameters.shift_bits)
        m.d.comb += shift.eq(level - parameters.lane_level)
        with m.If(goes):
            m.d.sync += [
                self.jobs.valid.eq(1),
                job.fetch.base.eq(of_kind("base") + identity * of_kind("head_stride")),
                job.fetch.stride.eq(beats),
                job.fetch.count_0.eq(beats),
                job.fetch.count_1.eq(beats),
                job.listing["count"].eq(count),
                job.listing.source.eq(
                    Mux(
                        asked,
                        ASKED,
                        Mux((chosen != QUERY) | registers.layer_listed, Const(LISTED, 2), Const(COUNTED, 2)),
                    )
                ),
                job.conversion.width.eq(of_kind("record_width")),
                job.conversion.shift.eq(Mux(chosen == KEY, registers.score_ignored, 0)),
                job.conversion.least.eq(chosen == LEAST),
                job.conversion.elements.eq(Mux(valued, registers.vectors_value_dim, registers.vectors_dim)),
                job.conversion.beats.eq(beats),
                job.conversion.records.eq(count),
                job.route.kind.eq(chosen),
                job.route.pieces.eq(count << shift),
            ]
        with m.Elif(self.jobs.ready):
            m.d.sync += self.jobs.valid.eq(0)
        return m


class Tokens(Component):
    """listings: of jobs. tokens: theirs, in order. place: in the list of kept tokens, whose position comes at
    once. asked: places that a row wants, one for each token of a job that has them from there."""

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        index = parameters.head.selection.topk.index_bits
        super().__init__(
            {
                "listings": In(stream.Signature(layout(parameters.listing))),
                "asked": In(stream.Signature(index)),
                "place": Out(index),
                "position": In(parameters.position_bits),
                "tokens": Out(stream.Signature(token_layout(parameters.fetcher))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        listing = self.listings.payload
        number = Signal.like(listing["count"])
        asks = Signal()
        goes = Signal()
        m.d.comb += [
            asks.eq(listing.source == ASKED),
            self.place.eq(Mux(asks, self.asked.payload, number)),
            self.tokens.valid.eq(self.listings.valid & (~asks | self.asked.valid)),
            self.tokens.payload.position.eq(Mux(listing.source == COUNTED, number, self.position)),
            self.tokens.payload.last.eq(number + 1 == listing["count"]),
            goes.eq(self.tokens.valid & self.tokens.ready),
            self.asked.ready.eq(self.listings.valid & asks & self.tokens.ready),
            self.listings.ready.eq(goes & self.tokens.payload.last),
        ]
        with m.If(goes):
            m.d.sync += number.eq(Mux(self.tokens.payload.last, 0, number + 1))
        return m
