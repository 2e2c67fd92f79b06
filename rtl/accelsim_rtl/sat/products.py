# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds parts that nobody elaborates.
"""Products: the array, what feeds it, and where its sums go."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Component, Out

from accelsim.golden.floating import FP16, FP32
from accelsim.units.sat.jobs import FOLD_BITS, PRODUCT_FIELDS
from accelsim.units.sat.machine import COUNT_BITS
from accelsim.units.sat.machine import Machine as Parameters
from accelsim.units.sat.products import NORTH, WEST, partials_fifo
from accelsim_rtl.fifo import Fifo
from accelsim_rtl.float.converter import FloatConverter
from accelsim_rtl.sat.array import SatArray
from accelsim_rtl.sat.engine import engine_members, walker
from accelsim_rtl.sat.operands import Activations, Feeder, Weights
from accelsim_rtl.sat.reads import Reads


class Products(Component):
    """Runs a product's folds; see `accelsim_rtl.sat.engine`. Probes: folds (one begins), works (the array's).

    Throughput: that of the array, if lines come in time.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        super().__init__(engine_members(parameters) | {"folds": Out(1), "works": Out(1)})

    def elaborate(self, platform):
        m = Module()
        parameters = self.parameters
        job = data.View(data.StructLayout(PRODUCT_FIELDS), self.job[: sum(PRODUCT_FIELDS.values())])
        stationary = job.word[0]
        m.submodules.array = array = SatArray(parameters)
        m.submodules.west = west = Activations(parameters)
        m.submodules.north = north = Weights(parameters)
        m.submodules.feeder = feeder = Feeder(parameters, len(west.read), len(north.read))
        m.submodules.reads = reads = Reads(parameters)
        wiring.connect(m, reads.requests, wiring.flipped(self.requests))
        m.d.comb += [
            reads.begins.eq(self.begins),
            reads.job.eq(job),
            reads.west_room.eq(west.room),
            reads.north_room.eq(north.room),
            west.reserves.eq(reads.west_reserves),
            north.reserves.eq(reads.north_reserves),
            north.slots.eq(Mux(stationary, 0, parameters.interleave - 1)),
            west.arrives.eq(self.arrives & (self.target == WEST)),
            north.arrives.eq(self.arrives & (self.target == NORTH)),
            north.dense.eq(job.dense),
            north.run.eq(job.run),
            north.chunks.eq(job.chunks),
        ]
        for buffer in (west, north):
            m.d.comb += [buffer.line.eq(self.line), buffer.last.eq(self.last)]

        # From the buffers into the array.
        m.d.comb += [
            feeder.begins.eq(self.begins),
            feeder.stationary.eq(stationary),
            *(
                getattr(feeder, name).eq(job[name])
                for name in ("beats", "last_beats", "chunks", "uses", "slot_rows", "last_rows")
            ),
            feeder.west.eq(array.west.valid & array.west.ready),
            feeder.north.eq(array.north.valid & array.north.ready),
            west.read.eq(feeder.beat),
            west.releases.eq(feeder.frees_west),
            north.read.eq(feeder.row),
            north.releases.eq(feeder.frees_north),
            array.west.valid.eq(west.there),
            array.west.payload.eq(west.shown[: len(array.west.payload.as_value())]),
            array.north.valid.eq(north.there & feeder.offers_weights),
            array.north.payload.eq(Mux(feeder.is_padding, 0, north.shown)),
            self.works.eq(array.works),
        ]
        self._folds(m, job, stationary, array)
        self._sums(m, job, stationary, array)
        return m

    def _folds(self, m, job, stationary, array):
        """Folds are offered to the array one after the other."""
        left, chunk = Signal(FOLD_BITS), Signal(COUNT_BITS)
        fold = array.folds.payload
        m.d.comb += [
            array.folds.valid.eq(left != 0),
            fold.stationary.eq(stationary),
            fold.continued.eq(stationary & (chunk != 0)),
            fold.kept.eq(job.kept),
            fold.beats.eq(job.fold_beats - 1),
            self.folds.eq(array.folds.valid & array.folds.ready),
        ]
        with m.If(self.folds):
            m.d.sync += [
                left.eq(left - 1),
                chunk.eq(Mux(stationary & (chunk != job.chunks - 1), chunk + 1, 0)),
            ]
        with m.If(self.begins):
            m.d.sync += [left.eq(job.folds), chunk.eq(0)]

    def _sums(self, m, job, stationary, array):
        """Sums wait for the fold that adds to them, or leave: as FP16, or in two lines."""
        parameters = self.parameters
        levels = [
            (Mux(stationary, 1, parameters.interleave), job.out_slot),
            (job.column_tiles, Mux(stationary, job.out_slot, job.out_slot * parameters.interleave)),
            (job.row_tiles, job.out_lines),
        ]
        outs = walker(m, "out", job.out, levels, self.begins)
        m.d.comb += [
            self.writes.valid.eq(outs.active),
            self.writes.payload.first.eq(outs.addresses.payload),
            self.writes.payload.count.eq(job.out_lines),
            outs.addresses.ready.eq(self.writes.ready),
        ]
        m.submodules.partials = partials = Fifo(partials_fifo(parameters))
        beat, chunk, second = Signal(COUNT_BITS), Signal(COUNT_BITS), Signal()
        goes_on = stationary & (chunk != job.chunks - 1)
        narrowed = []
        for column in range(parameters.cols):
            m.submodules[f"narrow_{column}"] = narrow = FloatConverter(FP32, FP16, 0)
            m.d.comb += narrow.operand.eq(array.sums.payload[column])
            narrowed.append(narrow.result)
        whole = array.sums.payload.as_value().word_select(second, parameters.line_bits)
        sends = self.lines.valid & self.lines.ready
        taken = array.sums.valid & array.sums.ready
        m.d.comb += [
            partials.entering.valid.eq(array.sums.valid & goes_on),
            partials.entering.payload.eq(array.sums.payload),
            array.partials.valid.eq(partials.leaving.valid),
            array.partials.payload.eq(partials.leaving.payload),
            partials.leaving.ready.eq(array.partials.ready),
            self.lines.valid.eq(array.sums.valid & ~goes_on),
            self.lines.payload.eq(Mux(job.narrow, Cat(narrowed), whole)),
            array.sums.ready.eq(
                Mux(goes_on, partials.entering.ready, self.lines.ready & (job.narrow | second))
            ),
        ]
        with m.If(sends):
            m.d.sync += second.eq(~second & ~job.narrow)
        with m.If(taken & stationary):
            m.d.sync += beat.eq(beat + 1)
            with m.If(beat == job.beats - 1):
                m.d.sync += [beat.eq(0), chunk.eq(Mux(chunk == job.chunks - 1, 0, chunk + 1))]
