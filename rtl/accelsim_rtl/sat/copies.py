# amaranth: UnusedElaboratable=no
"""The compact copies of updated weights: SORE in both directions, and lines of memory."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from accelsim.golden.floating import FP16
from accelsim.units.sat.copies import values_fifo
from accelsim.units.sat.machine import Machine as Parameters
from accelsim_rtl.fifo import Fifo
from accelsim_rtl.sat.transpose import Transpose
from accelsim_rtl.sore import Sore
from accelsim_rtl.sore_lane import pair_layout


class Copies(Component):
    """rows: FP16 weights, `cols` rows a tile. lines: of each tile both copies, forward ones first.

    Rows pass SORE as they come and go into the transposing tile; then its columns pass SORE. run: rows that
    share a line of indices, less 1. Throughput: a tile each 2 `cols` clocks.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        line = stream.Signature(parameters.line_bits)
        super().__init__({"run": In(range(FP16.bits)), "rows": In(line), "lines": Out(line)})

    def elaborate(self, platform):
        m = Module()
        parameters = self.parameters
        m.submodules.sore = sore = Sore(parameters.sore)
        m.submodules.turned = turned = Transpose(parameters.transpose)
        m.submodules.values = values = Fifo(values_fifo(parameters))
        m.submodules.indices = indices = Fifo(values_fifo(parameters))

        # A tile's rows, then its columns.
        reduced, backward = Signal(range(parameters.cols)), Signal()
        column = turned.columns.payload.as_value()
        taken = sore.weights.valid & sore.weights.ready
        m.d.comb += [
            sore.weights.valid.eq(Mux(backward, turned.columns.valid, self.rows.valid & turned.rows.ready)),
            sore.weights.payload["values"].eq(Mux(backward, column, self.rows.payload)),
            self.rows.ready.eq(turned.rows.ready & sore.weights.ready & ~backward),
            turned.rows.valid.eq(self.rows.valid & sore.weights.ready & ~backward),
            turned.rows.payload.eq(self.rows.payload),
            turned.columns.ready.eq(sore.weights.ready & backward),
        ]
        with m.If(taken):
            m.d.sync += reduced.eq(reduced + 1)
            with m.If(reduced == parameters.cols - 1):
                m.d.sync += [reduced.eq(0), backward.eq(~backward)]

        self._rows(m, sore.kept, values, indices)

        # A line of indices, then its rows.
        left = Signal(range(FP16.bits + 1))
        m.d.comb += [
            self.lines.valid.eq(Mux(left != 0, values.leaving.valid, indices.leaving.valid)),
            self.lines.payload.eq(Mux(left != 0, values.leaving.payload, indices.leaving.payload)),
            values.leaving.ready.eq(self.lines.ready & (left != 0)),
            indices.leaving.ready.eq(self.lines.ready & (left == 0)),
        ]
        with m.If(self.lines.valid & self.lines.ready):
            m.d.sync += left.eq(Mux(left != 0, left - 1, self.run + 1))
        return m

    def _rows(self, m, kept, values, indices):
        """The pairs of a group leave one of each lane at a time; indices gather until their run ends."""
        parameters = self.parameters
        bits, padding = parameters.stored_index_bits, parameters.stored_index_bits - parameters.index_bits
        pair, rows = Signal(range(max(2, parameters.kept))), Signal(range(FP16.bits))
        row, index = [], []
        for lane in range(parameters.cols):
            chosen = Signal(pair_layout(parameters.sore), name=f"chosen_{lane}")
            m.d.comb += chosen.eq(kept.payload[lane][pair])
            row.append(chosen.value)
            index.append(Cat(chosen.index, Const(0, padding)))
        gathered = Signal(parameters.line_bits)
        line = Signal(parameters.line_bits)
        ends = rows == self.run
        moves = kept.valid & values.entering.ready & (indices.entering.ready | ~ends)
        m.d.comb += [
            line.eq(gathered),
            line.word_select(rows, bits * parameters.cols).eq(Cat(index)),
            values.entering.valid.eq(moves),
            values.entering.payload.eq(Cat(row)),
            indices.entering.valid.eq(moves & ends),
            indices.entering.payload.eq(line),
            kept.ready.eq(moves & (pair == parameters.kept - 1)),
        ]
        with m.If(moves):
            m.d.sync += [
                pair.eq(Mux(pair == parameters.kept - 1, 0, pair + 1)),
                rows.eq(Mux(ends, 0, rows + 1)),
                gathered.eq(Mux(ends, 0, line)),
            ]
