# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds parts that nobody elaborates.
"""The operand buffers of the machine: lines of memory in, beats for the array out."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

from accelsim.golden.floating import FP16
from accelsim.units.sat.machine import COUNT_BITS, Machine
from accelsim_rtl.sat.halves import Halves

_BUFFER = {
    "reserves": In(1),
    "room": Out(1),
    "arrives": In(1),
    "last": In(1),
    "releases": In(1),
    "there": Out(1),
}


class Activations(Component):
    """Beats for the rows of the array, each of `beat_lines` lines that come one by one; see `Halves`."""

    def __init__(self, parameters: Machine):
        self.parameters = parameters
        self.halves = Halves(parameters.line_bits, parameters.depth, parameters.beat_lines)
        super().__init__(
            _BUFFER
            | {
                "line": In(parameters.line_bits),
                "read": In(self.halves.place_bits),
                "shown": Out(parameters.line_bits * parameters.beat_lines),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.halves = halves = self.halves
        part = Signal.like(halves.part)
        place = Signal.like(halves.place)
        fills = self.arrives & self.last
        _connect(m, self, halves)
        m.d.comb += [
            halves.writes.eq(self.arrives),
            halves.part.eq(part),
            halves.place.eq(place),
            halves.word.eq(self.line),
            halves.fills.eq(fills),
        ]
        with m.If(self.arrives):
            m.d.sync += part.eq(part + 1)
            with m.If(part == self.parameters.beat_lines - 1):
                m.d.sync += [part.eq(0), place.eq(place + 1)]
        with m.If(fills):
            m.d.sync += [part.eq(0), place.eq(0)]
        return m


class Weights(Component):
    """Rows of weights with their indices, which come in a line before each `run` rows; those of dense count.

    run: less 1. slots: less 1, transfers of a half. chunks: halves of a strip. See `Halves`.
    """

    def __init__(self, parameters: Machine):
        self.parameters = parameters
        width = parameters.cols * (FP16.bits + parameters.index_bits)
        self.halves = Halves(width, parameters.north_depth)
        super().__init__(
            _BUFFER
            | {
                "dense": In(1),
                "run": In(range(FP16.bits)),
                "slots": In(range(max(2, parameters.interleave))),
                "chunks": In(COUNT_BITS),
                "line": In(parameters.line_bits),
                "read": In(self.halves.place_bits),
                "shown": Out(width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.halves = halves = self.halves
        parameters, bits = self.parameters, self.parameters.stored_index_bits
        place = Signal.like(halves.place)
        slot = Signal.like(self.slots)
        held = Signal.like(self.line, reset_less=True)
        left = Signal(range(FP16.bits + 1))
        # Of a dense row its index: a strip begins with 0, and goes on from chunk to chunk.
        turn, chunk = Signal(parameters.index_bits), Signal(COUNT_BITS)
        writes = self.arrives & (self.dense | (left != 0))
        fills = self.arrives & self.last & (slot == self.slots)
        _connect(m, self, halves)
        m.d.comb += [halves.writes.eq(writes), halves.place.eq(place), halves.fills.eq(fills)]
        weights = []
        for column in range(parameters.cols):
            stored = held.word_select(column, bits)[: parameters.index_bits]
            index = Mux(self.dense, turn, stored)
            weights += [self.line.word_select(column, FP16.bits), index[: parameters.index_bits]]
        m.d.comb += halves.word.eq(Cat(weights))

        with m.If(writes):
            m.d.sync += [place.eq(place + 1), held.eq(held >> bits * parameters.cols)]
            with m.If(self.dense):
                m.d.sync += turn.eq(turn + 1)
            with m.Else():
                m.d.sync += left.eq(left - 1)
        with m.Elif(self.arrives):
            m.d.sync += [held.eq(self.line), left.eq(self.run + 1)]
        with m.If(self.arrives & self.last):
            m.d.sync += slot.eq(slot + 1)
        with m.If(fills):
            m.d.sync += [slot.eq(0), place.eq(0), left.eq(0), chunk.eq(chunk + 1)]
            with m.If(chunk == self.chunks - 1):
                m.d.sync += [chunk.eq(0), turn.eq(0)]
        return m


def _connect(m, buffer, halves):
    """The side that is read."""
    m.d.comb += [
        halves.reserves.eq(buffer.reserves),
        buffer.room.eq(halves.room),
        halves.read.eq(buffer.read),
        halves.releases.eq(buffer.releases),
        buffer.there.eq(halves.there),
        buffer.shown.eq(halves.shown),
    ]


class Feeder(Component):
    """Which beat and which row of weights the array has before it, chunk after chunk.

    begins: a job, whose fields are inputs; counts of them: see `accelsim.units.sat.jobs.Product`.
    west, north: the array takes a beat, a row. beat, row: their places in the next clock.
    """

    def __init__(self, parameters: Machine, beat_bits, row_bits):
        self.parameters = parameters
        counts = ("beats", "last_beats", "chunks", "uses", "slot_rows", "last_rows")
        super().__init__(
            {name: In(1) for name in ("begins", "stationary", "west", "north")}
            | {name: In(COUNT_BITS) for name in counts}
            | {
                "beat": Out(beat_bits),
                "row": Out(row_bits),
                "offers_weights": Out(1),
                "is_padding": Out(1),
                "frees_west": Out(1),
                "frees_north": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters = self.parameters
        chunk, use = Signal(COUNT_BITS), Signal(COUNT_BITS)
        beat, row, base = Signal.like(self.beat), Signal.like(self.row), Signal.like(self.row)
        next_row, next_base = Signal.like(row), Signal.like(base)
        slot = Signal(range(max(2, parameters.interleave)))
        loads = Signal()

        last = chunk == self.chunks - 1
        limit = Mux(last & ~self.stationary, self.last_beats, self.beats)
        ends = self.west & (beat == limit - 1)
        last_use = use == self.uses - 1
        last_slot = slot == parameters.interleave - 1
        m.d.comb += [
            self.offers_weights.eq(loads | ~self.stationary),
            self.is_padding.eq(self.stationary & last & (row >= self.last_rows)),
            self.frees_west.eq(ends & last_use),
            self.frees_north.eq(ends),
            self.beat.eq(Mux(ends, 0, beat + self.west)),
            next_row.eq(row),
            next_base.eq(base),
            self.row.eq(next_base + next_row),
        ]
        m.d.sync += [beat.eq(self.beat), row.eq(next_row), base.eq(next_base)]
        with m.If(ends):
            m.d.sync += [chunk.eq(Mux(last, 0, chunk + 1)), use.eq(Mux(last_use, 0, use + 1))]
        with m.If(self.begins):
            m.d.sync += [chunk.eq(0), use.eq(0), beat.eq(0)]

        # Of weights that stay the last row comes first; else rows of all sums take turns.
        with m.If(ends | self.begins):
            m.d.comb += [next_row.eq(Mux(self.stationary, parameters.rows - 1, 0)), next_base.eq(0)]
            m.d.sync += [slot.eq(0), loads.eq(self.stationary)]
        with m.Elif(self.north & self.stationary):
            m.d.comb += next_row.eq(row - (row != 0))
            m.d.sync += loads.eq(row != 0)
        with m.Elif(self.north):
            m.d.comb += [next_row.eq(row + last_slot), next_base.eq(Mux(last_slot, 0, base + self.slot_rows))]
            m.d.sync += slot.eq(Mux(last_slot, 0, slot + 1))
        return m
