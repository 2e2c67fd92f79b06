"""Fragment buffers of the tile engine: two halves each, one that fills while the other is read."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from accelsim.golden.fragments import COLUMNS, ROWS
from accelsim.golden.tensor_lane import STEPS
from accelsim.units.stc.lane import WORD_BITS
from accelsim.units.stc.tile import BEAT_BITS
from accelsim.units.stc.tile import Tile as Parameters
from accelsim_rtl.stc.dot_product import spread

HOLDERS = 4
"""Rows of A that are written at a time, a word a clock each."""


class RowBuffer(Component):
    """Rows of A. takes, half, row, beat: a row comes. words: of every lane its row's word, at once.

    The memories are a word wide. Four holders turn rows, which come whole, into words: row r goes to holder
    r mod 4 and leaves it in the four clocks behind, when the next row for it comes at the soonest.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        super().__init__(
            {
                "takes": In(1),
                "half": In(1),
                "row": In(range(ROWS)),
                "beat": In(BEAT_BITS),
                "read_half": In(1),
                "block": In(range(parameters.blocks)),
                "step": In(range(STEPS)),
                "words": Out(WORD_BITS * parameters.lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes = self.parameters.lanes
        lane_bits = (lanes - 1).bit_length()
        holders = [self._holder(m, number) for number in range(HOLDERS)]
        words = []
        for lane in range(lanes):
            busy, half, row, step, word = holders[lane % HOLDERS]
            m.submodules[f"lane_{lane}"] = memory = Memory(
                shape=WORD_BITS, depth=2 * self.parameters.blocks * STEPS, init=[]
            )
            write, read = memory.write_port(), memory.read_port(domain="comb")
            m.d.comb += [
                write.en.eq(busy & (row[:lane_bits] == lane)),
                write.addr.eq(Cat(step, row[lane_bits:], half)),
                write.data.eq(word),
                read.addr.eq(Cat(self.step, self.block, self.read_half)),
            ]
            words.append(read.data)
        m.d.comb += self.words.eq(Cat(words))
        return m

    def _holder(self, m, number):
        """A row that leaves word by word: whether there is one, its half, number, step, and word."""
        busy = Signal(name=f"busy_{number}")
        half = Signal(name=f"half_{number}", reset_less=True)
        row = Signal(range(ROWS), name=f"row_{number}", reset_less=True)
        step = Signal(range(STEPS), name=f"step_{number}", reset_less=True)
        held = Signal(BEAT_BITS, name=f"held_{number}", reset_less=True)
        with m.If(self.takes & (self.row[: (HOLDERS - 1).bit_length()] == number)):
            m.d.sync += [busy.eq(1), half.eq(self.half), row.eq(self.row), step.eq(0), held.eq(self.beat)]
        with m.Else():
            m.d.sync += [busy.eq(busy & (step != STEPS - 1)), step.eq(step + 1), held.eq(held >> WORD_BITS)]
        return busy, half, row, step, held[:WORD_BITS]


class ColumnBuffer(Component):
    """Columns of B. takes, half, number, beat: words of a column come. elements: those of a step, at once.

    In a sparse step they are a column's next two words, in a dense step its next one, spread over the groups.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        super().__init__(
            {
                "takes": In(1),
                "half": In(1),
                "number": In(range(parameters.b_beats)),
                "beat": In(BEAT_BITS),
                "read_half": In(1),
                "sparse": In(1),
                "step": In(range(STEPS)),
                "column": In(range(COLUMNS)),
                "elements": Out(parameters.lane.b_elements * parameters.element_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters = self.parameters
        m.submodules.memory = memory = Memory(shape=BEAT_BITS, depth=2 * parameters.b_beats, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(self.takes),
            write.addr.eq(Cat(self.number, self.half)),
            write.data.eq(self.beat),
        ]
        word = read.data.word_select(self.step, WORD_BITS)
        if parameters.sparse:
            pair = read.data.word_select(self.step[0], 2 * WORD_BITS)
            m.d.comb += [
                read.addr.eq(Cat(self.column, self.sparse & self.step[1], self.read_half)),
                self.elements.eq(Mux(self.sparse, pair, spread(parameters.lane, word))),
            ]
        else:
            m.d.comb += [read.addr.eq(Cat(self.column, self.read_half)), self.elements.eq(word)]
        return m


class CodeBuffer(Component):
    """Codes of A. takes, half, row, word: those of a row come. codes: of every lane those of a step."""

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        super().__init__(
            {
                "takes": In(1),
                "half": In(1),
                "row": In(range(ROWS)),
                "word": In(parameters.metadata.row_bits),
                "read_half": In(1),
                "block": In(range(parameters.blocks)),
                "step": In(range(STEPS)),
                "codes": Out(parameters.lanes * parameters.metadata.row_bits // STEPS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes, bits = self.parameters.lanes, self.parameters.metadata.row_bits
        lane_bits = (lanes - 1).bit_length()
        codes = []
        for lane in range(lanes):
            m.submodules[f"lane_{lane}"] = memory = Memory(
                shape=bits, depth=2 * self.parameters.blocks, init=[]
            )
            write, read = memory.write_port(), memory.read_port(domain="comb")
            m.d.comb += [
                write.en.eq(self.takes & (self.row[:lane_bits] == lane)),
                write.addr.eq(Cat(self.row[lane_bits:], self.half)),
                write.data.eq(self.word),
                read.addr.eq(Cat(self.block, self.read_half)),
            ]
            codes.append(read.data.word_select(self.step, bits // STEPS))
        m.d.comb += self.codes.eq(Cat(codes))
        return m
