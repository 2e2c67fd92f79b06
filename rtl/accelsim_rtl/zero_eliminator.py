"""Zero eliminator: closes the gaps that a filter left, and joins what remains into full rows.

Held against `accelsim.units.zero_eliminator.Model` row by row. A row's elements are counted by a prefix
sum, sent to lane (waiting + elements before it) mod lanes by a butterfly, and joined with those that wait:
rotation and compaction are one network. Least significant destination bit first: no two elements meet.
"""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class _Beat:
    lanes: list[Signal]
    end: Signal


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

    def _beat(self, name):
        """A row on its way. `place` of a lane: first the inclusive sum, then the lane that it goes to.

        How many rows it completes is known with its total, and travels with it: the decision whether there is
        room for them, on which all registers wait, begins at registers.
        """
        parameters = self.parameters
        lane = data.StructLayout({"element": parameters.bits, "keep": 1, "place": parameters.layers + 1})
        end = data.StructLayout(
            {"total": parameters.layers + 1, "last": 1, "valid": 1, "completes_one": 1, "completes_two": 1}
        )
        lanes = [Signal(lane, name=f"{name}_{number}") for number in range(parameters.lanes)]
        return _Beat(lanes=lanes, end=Signal(end, name=f"{name}_end"))

    def _register(self, m, advance, beat, name):
        registered = self._beat(name)
        with m.If(advance):
            m.d.sync += registered.end.eq(beat.end)
            m.d.sync += [after.eq(lane) for after, lane in zip(registered.lanes, beat.lanes, strict=True)]
        return registered

    def _counted(self, m, advance):
        """The prefix sum over the keep bits."""
        payload, beat = self.rows.payload, self._beat("arriving")
        m.d.comb += [beat.end.last.eq(payload.last), beat.end.valid.eq(self.rows.valid)]
        for lane, element, keep in zip(beat.lanes, payload.elements, payload.keep, strict=True):
            m.d.comb += [lane.element.eq(element), lane.keep.eq(keep), lane.place.eq(keep)]
        layers, every = self.parameters.layers, self.parameters.registers == "max_frequency"
        for layer in range(layers):
            summed = self._beat(f"summed_{layer}")
            sums = sum_layer([lane.place for lane in beat.lanes], 1 << layer)
            m.d.comb += summed.end.eq(beat.end)
            for after, lane, total in zip(summed.lanes, beat.lanes, sums, strict=True):
                m.d.comb += [after.element.eq(lane.element), after.keep.eq(lane.keep), after.place.eq(total)]
            inner = every and layer < layers - 1
            beat = self._register(m, advance, summed, f"counted_{layer}") if inner else summed
        return self._register(m, advance, beat, "counted")

    def _placed(self, m, advance, beat):
        """Destinations, from the elements before and those that will wait. The top bit: in the next row."""
        parameters, placed = self.parameters, self._beat("placed")
        fill = Signal(range(max(2, parameters.lanes)))
        total = Signal(parameters.layers + 1)
        full, rest = total[parameters.layers], total[: parameters.layers]
        m.d.comb += [
            placed.end.last.eq(beat.end.last),
            placed.end.valid.eq(beat.end.valid),
            total.eq(fill + beat.lanes[-1].place),
            placed.end.total.eq(total),
            placed.end.completes_one.eq(beat.end.valid & (full | beat.end.last)),
            placed.end.completes_two.eq(beat.end.valid & beat.end.last & full & (rest != 0)),
        ]
        for after, lane in zip(placed.lanes, beat.lanes, strict=True):
            m.d.comb += [
                after.element.eq(lane.element),
                after.keep.eq(lane.keep),
                after.place.eq(fill + lane.place - lane.keep),
            ]
        with m.If(advance & beat.end.valid):
            m.d.sync += fill.eq(Mux(beat.end.last, 0, rest))
        every = parameters.registers == "max_frequency" or parameters.layers == 0
        return self._register(m, advance, placed, "sent") if every else placed

    def _routed(self, m, advance, beat):
        """The butterfly: in layer b the lanes that differ in bit b exchange elements."""
        layers, every = self.parameters.layers, self.parameters.registers == "max_frequency"
        for layer in range(layers):
            routed = self._beat(f"routed_{layer}")
            m.d.comb += routed.end.eq(beat.end)
            for number, lane in enumerate(routed.lanes):
                here, there = beat.lanes[number], beat.lanes[number ^ 1 << layer]
                side = number >> layer & 1
                stays, comes = Signal(name=f"stays_{layer}_{number}"), Signal(name=f"comes_{layer}_{number}")
                m.d.comb += [
                    stays.eq(here.keep & (here.place[layer] == side)),
                    comes.eq(there.keep & (there.place[layer] == side)),
                    lane.element.eq(Mux(stays, here.element, there.element)),
                    lane.place.eq(Mux(stays, here.place, there.place)),
                    lane.keep.eq(stays | comes),
                ]
            register = every or layer == layers - 1
            beat = self._register(m, advance, routed, f"exchanged_{layer}") if register else routed
        return beat

    def _joined(self, m, advance, beat):
        """The rows that a routed row completes: at most two, if it is the last of its group."""
        lanes, layers, end = self.parameters.lanes, self.parameters.layers, beat.end
        full, rest = end.total[layers], end.total[:layers]
        first, second = (Signal(self._slot_layout, name=name) for name in ("first", "second"))
        m.d.comb += [
            first.valid.eq(end.completes_one),
            first.row.count.eq(Mux(full, lanes, rest)),
            first.row.last.eq(end.last & ~end.completes_two),
            second.valid.eq(end.completes_two),
            second.row.count.eq(rest),
            second.row.last.eq(1),
        ]
        for number, lane in enumerate(beat.lanes):
            held = Signal(self.parameters.bits, name=f"held_{number}")
            later = lane.place[layers]
            m.d.comb += [
                first.row.elements[number].eq(
                    Mux(full | (number < rest), Mux(lane.keep & ~later, lane.element, held), 0)
                ),
                second.row.elements[number].eq(Mux(lane.keep & later, lane.element, 0)),
            ]
            with m.If(advance & end.valid & lane.keep):
                m.d.sync += held.eq(lane.element)
        with m.If(advance & end.valid):
            m.d.sync += self.waiting.eq(Mux(end.last, 0, rest))
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
