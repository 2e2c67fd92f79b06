# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds buffers that nobody elaborates.
"""What goes back to memory: outputs row by row, a beat a head of their magnitudes, the tokens' importance."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.fifo import Fifo as FifoParameters
from accelsim.units.spatten.parameters import BEATS
from accelsim.units.spatten.parameters import Machine as Parameters
from accelsim_rtl.axi.cutter import transfer_layout
from accelsim_rtl.fifo import Fifo
from accelsim_rtl.layouts import layout
from accelsim_rtl.score_accumulator import sums_layout


class Results(Component):
    """begins: a layer of `tokens` and `heads`. results, sums: of the pipeline. transfers, beats: for the
    write master; answered, failed: its answer to a transfer. error: a beat came with one. done: of the layer.
    """

    def __init__(self, parameters: Parameters, registers):
        self.parameters, self.registers = parameters, registers
        super().__init__(
            {
                "begins": In(1),
                "tokens": In(parameters.listing.fields["count"].bits),
                "heads": In(range(parameters.heads + 1)),
                "results": In(stream.Signature(layout(parameters.head.product.results))),
                "sums": In(stream.Signature(sums_layout(parameters.head.accumulator))),
                "transfers": Out(stream.Signature(transfer_layout(parameters.writer))),
                "beats": Out(stream.Signature(parameters.beat_bits)),
                "answered": In(1),
                "failed": In(1),
                "error": In(1),
                "done": Out(stream.Signature(1)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, registers = self.parameters, self.registers
        transfer = transfer_layout(parameters.writer)
        m.submodules.transfers = transfers = Fifo(FifoParameters(depth=BEATS, bits=transfer.size))
        m.submodules.beats = beats = Fifo(FifoParameters(depth=BEATS, bits=parameters.beat_bits))
        for fifo, member in ((transfers, self.transfers), (beats, self.beats)):
            m.d.comb += [
                member.valid.eq(fifo.leaving.valid),
                member.payload.eq(fifo.leaving.payload),
                fifo.leaving.ready.eq(member.ready),
            ]
        head = Signal(parameters.place_bits)
        heads_left = Signal.like(self.heads)
        rows_left = Signal.like(registers.layer_queries)
        magnitude = Signal(parameters.magnitude_bits)
        owes = Signal()
        written = Signal()
        begun = Signal()
        open_transfers = Signal(range(parameters.open_transfers + 1))

        # Rows, behind the last one of a head what it owes, and behind the last head the sums.
        rooms = Signal()
        works = Signal()
        row = Signal()
        line = Signal()
        pays = Signal()
        result, sums = self.results.payload, self.sums.payload
        last = Mux(row, result.last, sums.last)
        m.d.comb += [
            rooms.eq(transfers.entering.ready & beats.entering.ready),
            works.eq(self.busy & rooms & ~owes & ~written),
            self.results.ready.eq(works & (heads_left != 0)),
            self.sums.ready.eq(works & (heads_left == 0)),
            row.eq(self.results.valid & self.results.ready),
            line.eq(self.sums.valid & self.sums.ready),
            pays.eq(owes & rooms),
        ]
        asked = transfer(transfers.entering.payload)
        bytes_bits = (parameters.writer.port.bytes - 1).bit_length()
        shift = Signal(range(max(2, parameters.head.dot.levels + 1)))
        words = (parameters.beat_bits // parameters.output_word_bits - 1).bit_length()
        level = registers.vectors_value_level
        group = parameters.sum_groups * parameters.head.tree_outputs
        m.d.comb += [
            shift.eq(Mux(level > words, level - words, 0)),
            transfers.entering.valid.eq(pays | ((row | line) & ~begun)),
            asked.address.eq(
                Mux(
                    pays,
                    registers.magnitudes_address + (head << bytes_bits),
                    Mux(
                        row,
                        registers.outputs_address + ((result.number << shift) << bytes_bits),
                        registers.importance_address,
                    ),
                )
            ),
            asked.beats.eq(
                Mux(pays, 1, Mux(row, 1 << shift, (self.tokens + group - 1) >> (group - 1).bit_length()))
            ),
        ]
        entering = self._group(m, row, line, last)
        m.d.comb += [
            beats.entering.valid.eq(pays | entering[0]),
            beats.entering.payload.eq(Mux(pays, magnitude, entering[1])),
        ]
        with m.If(row | line):
            m.d.sync += begun.eq(~last)
        with m.If(row & result.last):
            m.d.sync += [
                magnitude.eq(magnitude + result.magnitude),
                rows_left.eq(rows_left - 1),
                owes.eq(rows_left == 1),
            ]
        with m.If(pays):
            m.d.sync += [
                owes.eq(0),
                magnitude.eq(0),
                head.eq(head + 1),
                heads_left.eq(heads_left - 1),
                rows_left.eq(registers.layer_queries),
            ]

        # A layer is done when all is written.
        failed = self.done.payload
        m.d.sync += open_transfers.eq(open_transfers + transfers.entering.valid - self.answered)
        m.d.comb += self.done.valid.eq(written & (open_transfers == 0))
        with m.If(self.error | (self.answered & self.failed)):
            m.d.sync += failed.eq(1)
        with m.If(line & sums.last):
            m.d.sync += written.eq(1)
        with m.If(self.done.valid & self.done.ready):
            m.d.sync += [self.busy.eq(0), written.eq(0)]
        with m.If(self.begins):
            m.d.sync += [
                self.busy.eq(1),
                failed.eq(0),
                heads_left.eq(self.heads),
                head.eq(0),
                rows_left.eq(registers.layer_queries),
            ]
        return m

    def _group(self, m, row, line, last):
        """Whether a beat of memory is full with what comes, and the beat: what came before, zeros behind."""
        parameters = self.parameters
        product, accumulator = parameters.head.product, parameters.head.accumulator
        result, sums = self.results.payload, self.sums.payload
        outputs, lines = [], []
        for lane in range(product.output_lanes):
            word = Signal(parameters.output_word_bits, name=f"output_{lane}")
            m.d.comb += word.eq(result.outputs[lane])
            outputs.append(word)
        for lane in range(accumulator.width):
            word = Signal(parameters.sum_word_bits, name=f"sum_{lane}")
            m.d.comb += word.eq(sums.sums[lane])
            lines.append(word)
        most = max(parameters.output_groups, parameters.sum_groups)
        number = Signal(range(most + 1))
        kept = Signal(parameters.beat_bits)
        beat = Signal(parameters.beat_bits)
        full = Signal()
        gives = Signal()
        bits = {"outputs": len(Cat(outputs)), "sums": len(Cat(lines))}
        placed = {
            "outputs": Array(
                Cat(outputs) << place * bits["outputs"] for place in range(parameters.output_groups)
            ),
            "sums": Array(Cat(lines) << place * bits["sums"] for place in range(parameters.sum_groups)),
        }
        m.d.comb += [
            full.eq(number + 1 == Mux(row, parameters.output_groups, parameters.sum_groups)),
            beat.eq(kept | Mux(row, placed["outputs"][number], placed["sums"][number])),
            gives.eq((row | line) & (full | last)),
        ]
        with m.If(gives):
            m.d.sync += [number.eq(0), kept.eq(0)]
        with m.Elif(row | line):
            m.d.sync += [number.eq(number + 1), kept.eq(beat)]
        return gives, beat
