"""Zero eliminator: closes the gaps that a filter left, and joins what remains into full rows.

Held against `accelsim.units.zero_eliminator.Model` row by row. A row's elements are counted by a prefix
sum, sent to lane (waiting + elements before it) mod lanes by a butterfly, and joined with those that wait:
rotation and compaction are one network. Least significant destination bit first: no two elements meet.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from accelsim.units.zero_eliminator import ZeroEliminator as Parameters
from accelsim_rtl.prefix_sum import sum_layer


def row_layout(parameters):
    """Payload of `rows`."""
    return data.StructLayout(
        {
            "elements": data.ArrayLayout(parameters.bits, parameters.lanes),
            "keep": data.ArrayLayout(1, parameters.lanes),
            "last": 1,
        }
    )


def kept_layout(parameters):
    """Payload of `kept`."""
    return data.StructLayout(
        {
            "elements": data.ArrayLayout(parameters.bits, parameters.lanes),
            "count": range(parameters.lanes + 1),
            "last": 1,
        }
    )


class ZeroEliminator(wiring.Component):
    """Streams `rows` in, `kept` out; probe `waiting`: elements in the join register.

    Latency `parameters.latency_cycles`, throughput one row a clock. `rows_ready` follows `kept_ready` in the
    same clock.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        super().__init__(
            {
                "rows": In(stream.Signature(row_layout(parameters))),
                "kept": Out(stream.Signature(kept_layout(parameters))),
                "waiting": Out(range(max(2, parameters.lanes))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        advance = Signal()
        beat = self._counted(m, advance)
        beat = self._placed(m, advance, beat)
        beat = self._routed(m, advance, beat)
        first, second = self._joined(m, advance, beat)
        self._queued(m, advance, first, second)
        m.d.comb += self.rows.ready.eq(advance)
        return m

    @property
    def _beat_layout(self):
        """A row on its way. `place`: first the inclusive sum, then the lane that the element goes to."""
        parameters = self.parameters
        lane = data.StructLayout({"element": parameters.bits, "keep": 1, "place": parameters.layers + 1})
        return data.StructLayout(
            {
                "lanes": data.ArrayLayout(lane, parameters.lanes),
                "total": parameters.layers + 1,
                "last": 1,
                "valid": 1,
            }
        )

    def _register(self, m, advance, beat, name):
        registered = Signal(self._beat_layout, name=name)
        with m.If(advance):
            m.d.sync += registered.eq(beat)
        return registered

    def _counted(self, m, advance):
        """The prefix sum over the keep bits."""
        beat = Signal(self._beat_layout, name="arriving")
        m.d.comb += [beat.last.eq(self.rows.payload.last), beat.valid.eq(self.rows.valid)]
        for lane, element, keep in zip(
            beat.lanes, self.rows.payload.elements, self.rows.payload.keep, strict=True
        ):
            m.d.comb += [lane.element.eq(element), lane.keep.eq(keep), lane.place.eq(keep)]
        layers, every = self.parameters.layers, self.parameters.registers == "max_frequency"
        for layer in range(layers):
            summed = Signal(self._beat_layout, name=f"summed_{layer}")
            m.d.comb += summed.eq(beat)
            sums = sum_layer([lane.place for lane in beat.lanes], 1 << layer)
            m.d.comb += [lane.place.eq(total) for lane, total in zip(summed.lanes, sums, strict=True)]
            last = layer == layers - 1
            beat = self._register(m, advance, summed, f"counted_{layer}") if every and not last else summed
        return self._register(m, advance, beat, "counted")

    def _placed(self, m, advance, beat):
        """Destinations, from the elements before and those that will wait. The top bit: in the next row."""
        parameters = self.parameters
        fill = Signal(range(max(2, parameters.lanes)))
        placed = Signal(self._beat_layout, name="placed")
        m.d.comb += [placed.eq(beat), placed.total.eq(fill + beat.lanes[parameters.lanes - 1].place)]
        for before, lane in zip(beat.lanes, placed.lanes, strict=True):
            m.d.comb += lane.place.eq(fill + before.place - before.keep)
        with m.If(advance & beat.valid):
            m.d.sync += fill.eq(Mux(beat.last, 0, placed.total[: parameters.layers]))
        every = parameters.registers == "max_frequency" or parameters.layers == 0
        return self._register(m, advance, placed, "sent") if every else placed

    def _routed(self, m, advance, beat):
        """The butterfly: in layer b the lanes that differ in bit b exchange elements."""
        layers, every = self.parameters.layers, self.parameters.registers == "max_frequency"
        for layer in range(layers):
            routed = Signal(self._beat_layout, name=f"routed_{layer}")
            m.d.comb += routed.eq(beat)
            for number, lane in enumerate(routed.lanes):
                here, there = beat.lanes[number], beat.lanes[number ^ 1 << layer]
                side = number >> layer & 1
                stays = here.keep & (here.place[layer] == side)
                comes = there.keep & (there.place[layer] == side)
                m.d.comb += [
                    lane.element.eq(Mux(stays, here.element, there.element)),
                    lane.place.eq(Mux(stays, here.place, there.place)),
                    lane.keep.eq(stays | comes),
                ]
            register = every or layer == layers - 1
            beat = self._register(m, advance, routed, f"exchanged_{layer}") if register else routed
        return beat

    def _joined(self, m, advance, beat):
        """The rows that a routed row completes: at most two, if it is the last of its group."""
        lanes, layers = self.parameters.lanes, self.parameters.layers
        held = Signal(data.ArrayLayout(self.parameters.bits, lanes))
        full, rest = beat.total[layers], beat.total[:layers]
        first, second = (Signal(self._slot_layout, name=name) for name in ("first", "second"))
        m.d.comb += [
            first.valid.eq(beat.valid & (full | beat.last)),
            first.row.count.eq(Mux(full, lanes, rest)),
            first.row.last.eq(beat.last & ~(full & (rest != 0))),
            second.valid.eq(beat.valid & beat.last & full & (rest != 0)),
            second.row.count.eq(rest),
            second.row.last.eq(1),
        ]
        for number, lane in enumerate(beat.lanes):
            next_row = lane.place[layers]
            here = Mux(lane.keep & ~next_row, lane.element, held[number])
            m.d.comb += [
                first.row.elements[number].eq(Mux(full | (number < rest), here, 0)),
                second.row.elements[number].eq(Mux(lane.keep & next_row, lane.element, 0)),
            ]
            with m.If(advance & beat.valid & lane.keep):
                m.d.sync += held[number].eq(lane.element)
        with m.If(advance & beat.valid):
            m.d.sync += self.waiting.eq(Mux(beat.last, 0, rest))
        return first, second

    @property
    def _slot_layout(self):
        return data.StructLayout({"row": kept_layout(self.parameters), "valid": 1})

    def _queued(self, m, advance, first, second):
        """Two rows that wait for the sink, and the one decision of the pipeline: is there room."""
        head, tail = (Signal(self._slot_layout, name=name) for name in ("head", "tail"))
        taken = Signal()
        head_after, tail_after = (
            Signal(self._slot_layout, name=f"{name}_after") for name in ("head", "tail")
        )
        m.d.comb += [
            self.kept.valid.eq(head.valid),
            self.kept.payload.eq(head.row),
            taken.eq(head.valid & self.kept.ready),
            head_after.eq(Mux(taken, tail, head)),
            tail_after.row.eq(tail.row),
            tail_after.valid.eq(tail.valid & ~taken),
            # Room for two rows if nothing waits, for one if one waits.
            advance.eq(~(first.valid & tail_after.valid) & ~(second.valid & head_after.valid)),
        ]
        m.d.sync += [head.eq(head_after), tail.eq(tail_after)]
        with m.If(advance):
            with m.If(~head_after.valid):
                m.d.sync += [head.eq(first), tail.eq(second)]
            with m.Elif(~tail_after.valid):
                m.d.sync += tail.eq(first)
