"""The bit-width converter of SpAtten: packed elements of several widths become operands of one."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.bit_width_converter import FIELDS
from accelsim.units.bit_width_converter import BitWidthConverter as Parameters


class BitWidthConverter(Component):
    """request: width, shift, least, elements, beats, records: see `Request` in the unit's parameters.

    beats: what memory holds, packed. operands: lanes x operand_bits, count, least, last (of a record).
    Probes: busy (a request is in work), held (granules in the buffer).
    Latency: two clocks from the beat that completes a line to the line. Throughput: a beat and a line a
    clock; a request costs a clock of its own, a record none. `beats.ready` follows `operands.ready`.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        super().__init__(
            {
                "request": In(stream.Signature(data.StructLayout(dict(FIELDS)))),
                "beats": In(stream.Signature(parameters.beat_bits)),
                "operands": Out(stream.Signature(operands_layout(parameters))),
                "busy": Out(1),
                "held": Out(range(parameters.buffer_granules + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, lanes = self.parameters, self.parameters.lanes
        granule = parameters.granule_bits
        lines = {width: lanes * width // granule for width in parameters.widths}
        fields = self.request.payload

        # The request in work; `chosen`: its width, one bit for each there is; `line`: granules of a line.
        work = Signal(fields.shape())
        chosen = Signal(len(lines))
        line = Signal(range(max(lines.values()) + 1))
        elements = Signal(fields.elements.shape())
        beats_left = Signal(fields.beats.shape())
        records = Signal(fields.records.shape())

        # A line leaves when it is there; the last one of a record when all its beats have come.
        last = Signal()
        gives = Signal()
        ends = Signal()
        done = Signal()
        free = ~self.operands.valid | self.operands.ready
        m.d.comb += [
            last.eq(elements <= lanes),
            gives.eq(self.busy & free & Mux(last, beats_left == 0, self.held >= line)),
            ends.eq(gives & last),
            done.eq(ends & (records == 1)),
            self.request.ready.eq(~self.busy | done),
        ]

        # What is left behind it, and whether a beat has room; the padding of a record is dropped.
        held_after = Signal.like(self.held)
        elements_after = Signal.like(elements)
        beats_after = Signal.like(beats_left)
        wants = Signal()
        takes = Signal()
        m.d.comb += [
            held_after.eq(Mux(ends, 0, Mux(gives, self.held - line, self.held))),
            elements_after.eq(Mux(ends, work.elements, Mux(gives, elements - lanes, elements))),
            beats_after.eq(Mux(ends, work.beats, beats_left)),
            wants.eq(held_after < line),
            self.beats.ready.eq(self.busy & ~done & (beats_after != 0) & (wants | (elements_after <= lanes))),
            takes.eq(self.beats.valid & self.beats.ready),
        ]
        m.d.sync += [
            elements.eq(elements_after),
            beats_left.eq(beats_after - takes),
            records.eq(records - ends),
            self.held.eq(held_after + Mux(takes & wants, parameters.beat_bits // granule, 0)),
        ]
        with m.If(self.request.ready):
            m.d.sync += [
                self.busy.eq(self.request.valid),
                work.eq(fields),
                elements.eq(fields.elements),
                beats_left.eq(fields.beats),
                records.eq(fields.records),
                chosen.eq(Cat(fields.width == width for width in lines)),
                line.eq(sum(Mux(fields.width == width, many, 0) for width, many in lines.items())),
            ]

        buffer = self._buffer(m, lines, chosen, gives, held_after)
        self._convert(m, work, chosen, buffer, elements, last, gives)
        return m

    def _buffer(self, m, lines, chosen, gives, held_after):
        """Granules that wait: a line moves out below, a beat comes in above what is left."""
        parameters = self.parameters
        size, granule = parameters.buffer_granules, parameters.granule_bits
        in_beat = parameters.beat_bits // granule
        kept = [Signal(granule, name=f"granule_{place}", reset_less=True) for place in range(size)]
        moved = [Signal(name=f"moved_{number}") for number in range(len(lines))]
        m.d.comb += [one.eq(gives & width) for one, width in zip(moved, chosen, strict=True)]
        begins = Signal(size)
        m.d.comb += begins.eq(Cat(held_after == place for place in range(size)))
        for place in range(size):
            below = Mux(gives, 0, kept[place])
            for one, line in zip(moved, lines.values(), strict=True):
                if place + line < size:
                    below |= kept[place + line] & one.replicate(granule)
            entering, enters = 0, []
            for part in range(min(in_beat, place + 1)):
                here = begins[place - part]
                entering |= self.beats.payload[part * granule :][:granule] & here.replicate(granule)
                enters.append(here)
            m.d.sync += kept[place].eq(Mux(Cat(enters).any(), entering, below))
        return Cat(kept)

    def _convert(self, m, work, chosen, buffer, elements, last, gives):
        """The lowest elements of the buffer as operands, in the register of the output."""
        parameters = self.parameters
        payload, bits = self.operands.payload, parameters.operand_bits
        lanes = []
        for lane in range(parameters.lanes):
            operand = 0
            for width, one in zip(parameters.widths, chosen, strict=True):
                element = buffer[lane * width : (lane + 1) * width]
                sign = element[-1] & ~work.least
                whole = Cat(element, sign.replicate(bits - width))
                operand |= whole & one.replicate(bits)
            shifted = operand
            for distance in range(1, parameters.lsb_bits + 1):
                moved = Cat(Const(0, distance), operand)[:bits]
                shifted = Mux(work.shift == distance, moved, shifted)
            lanes.append(Mux(lane < elements, shifted, 0))
        with m.If(gives):
            m.d.sync += [payload.operands[lane].eq(value) for lane, value in enumerate(lanes)]
            m.d.sync += [
                payload["count"].eq(Mux(last, elements, parameters.lanes)),
                payload.least.eq(work.least),
                payload.last.eq(last),
                self.operands.valid.eq(1),
            ]
        with m.Elif(self.operands.ready):
            m.d.sync += self.operands.valid.eq(0)


def operands_layout(parameters):
    """A line of operands, how many of them count, which part they are, and whether a record ends."""
    return data.StructLayout(
        {
            "operands": data.ArrayLayout(parameters.operand_bits, parameters.lanes),
            "count": parameters.lanes.bit_length(),
            "least": 1,
            "last": 1,
        }
    )
