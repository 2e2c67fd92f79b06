# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds parts that nobody elaborates.
"""The tile engine: 16 x 8 accumulators, dense and 2:4 passes over A and B on the same lanes."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Component, In, Out

from accelsim.golden.fragments import COLUMNS
from accelsim.golden.tensor_lane import STEPS
from accelsim.units.stc.lane import ACCUMULATOR_BITS, WORD_BITS
from accelsim.units.stc.metadata import QUAD
from accelsim.units.stc.tile import A_BEATS, C_DEPTH, D_DEPTH, FROM_C, METADATA_CLOCKS, QUADS, ZERO
from accelsim.units.stc.tile import Tile as Parameters
from accelsim_rtl.promised_store import PromisedStore
from accelsim_rtl.stc.buffers import CodeBuffer, ColumnBuffer, RowBuffer
from accelsim_rtl.stc.codes import row_words, split, undefined
from accelsim_rtl.stc.dot_product import dense_codes
from accelsim_rtl.stc.lane import Lane
from accelsim_rtl.topk.pipeline import delayed


class Tile(Component):
    """instructions: passes. a, b, codes: registers of a quad's lanes, register by register, quad by quad.

    c, d: accumulators of `lanes` rows, block by block, column by column; d also says whether any code that
    made them was none. A pass is loaded while another is multiplied. Probes: running (a pass is multiplied),
    promised (results on their way or at the output). Latency: `latency_cycles` of the parameters.
    Throughput: a pass each `pass_cycles`, if its beats come and go.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        self.store = PromisedStore(results_layout(parameters), D_DEPTH)
        self.c_store = PromisedStore(accumulators_layout(parameters), C_DEPTH)
        quad = data.ArrayLayout(WORD_BITS, QUAD)
        codes = {"codes": In(stream.Signature(quad))} if parameters.sparse else {}
        super().__init__(
            {
                "instructions": In(stream.Signature(instruction_layout(parameters))),
                "a": In(stream.Signature(quad)),
                "b": In(stream.Signature(quad)),
                **codes,
                "c": In(stream.Signature(accumulators_layout(parameters))),
                "d": Out(stream.Signature(results_layout(parameters))),
                "running": Out(1),
                "promised": Out(range(self.store.depth + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters = self.parameters
        m.submodules.store = store = self.store
        m.submodules.c_store = c_store = self.c_store
        m.submodules.rows = rows = RowBuffer(parameters)
        m.submodules.columns = columns = ColumnBuffer(parameters)

        # One pass is loaded, one is multiplied; halves of the buffers change sides when one is handed over.
        layout = instruction_layout(parameters)
        half = Signal()
        hands = Signal()
        loading = Signal()
        loaded = Signal(layout, reset_less=True)
        current = Signal(layout, reset_less=True)
        m.d.comb += self.instructions.ready.eq(~loading | hands)
        with m.If(self.instructions.ready):
            m.d.sync += [loading.eq(self.instructions.valid), loaded.eq(self.instructions.payload)]
        with m.If(hands):
            m.d.sync += [half.eq(~half), current.eq(loaded)]

        # The operands of the pass that is loaded.
        a_there, a_number = self._count(m, self.a, loading, A_BEATS, name="a")
        sparse = loaded.sparse if parameters.sparse else 0
        last_b = Mux(sparse, 2 * COLUMNS - 1, COLUMNS - 1)
        b_there, b_number = self._count(m, self.b, loading, last_b + 1, name="b")
        m.d.comb += [
            rows.takes.eq(self.a.valid & self.a.ready),
            rows.row.eq(a_number),
            rows.beat.eq(self.a.payload),
            columns.takes.eq(self.b.valid & self.b.ready),
            columns.number.eq(b_number),
            columns.beat.eq(self.b.payload),
        ]
        m.d.comb += [each.half.eq(half) for each in (rows, columns)]
        m.d.comb += [each.read_half.eq(~half) for each in (rows, columns)]

        # The step at hand: a word of every row of a block with a column.
        goes = Signal()
        ends = Signal()
        position = Signal(range(parameters.pass_cycles))
        place, step = position[: len(position) - 2], position[len(position) - 2 :]
        column, block = place[: (COLUMNS - 1).bit_length()], place[(COLUMNS - 1).bit_length() :]
        m.d.comb += [
            ends.eq(goes & position.all()),
            rows.block.eq(block),
            columns.column.eq(column),
            columns.sparse.eq(current.sparse if parameters.sparse else 0),
        ]
        m.d.comb += [each.step.eq(step) for each in (rows, columns)]
        with m.If(goes):
            m.d.sync += position.eq(position + 1)
        with m.If(hands):
            m.d.sync += self.running.eq(1)
        with m.Elif(ends):
            m.d.sync += self.running.eq(0)

        codes, decoded, flawed = None, 1, 0
        if parameters.sparse:
            codes, decoded, flawed = self._metadata(m, loading, loaded, half, block, step)
        m.d.comb += hands.eq(loading & a_there & b_there & decoded & (~self.running | ends))

        # Whether any code of the passes since the accumulators' begin was none.
        doubtful = Signal()
        with m.If(hands):
            m.d.sync += doubtful.eq(flawed | (loaded.begins[1] & doubtful))

        # C is promised to a step when it goes, and read when its sum is there.
        takes_c = Signal()
        gives = Signal()
        available = Signal(range(C_DEPTH + 1))
        accepts = self.c.valid & self.c.ready
        m.d.comb += [
            takes_c.eq((step == 0) & (current.begins == FROM_C)),
            gives.eq((step == STEPS - 1) & current.gives),
            goes.eq(self.running & (~takes_c | (available != 0)) & (~gives | store.room)),
            self.c.ready.eq(c_store.room),
            c_store.issued.eq(accepts),
            c_store.arrives.eq(accepts),
            c_store.beat.eq(self.c.payload),
            self.promised.eq(store.promised),
            store.issued.eq(goes & gives),
        ]
        m.d.sync += available.eq(available + accepts - (goes & takes_c))

        starts = (step == 0) & ~current.begins[1]
        self._lanes(m, rows.words, columns.elements, codes, current, goes, place, starts, takes_c)
        wiring.connect(m, store.given, wiring.flipped(self.d))
        latency = parameters.step_cycles
        m.d.comb += [
            store.arrives.eq(delayed(m, goes & gives, latency, name="arrives", resets=True)),
            store.beat.undefined.eq(delayed(m, doubtful, latency, name="doubtful")),
        ]
        return m

    def _count(self, m, beats, loading, most, *, name):
        """Takes a pass's beats: whether all are there, and the number of the one that comes."""
        number = Signal(range(2 * COLUMNS + 1), name=f"{name}_count")
        there = Signal(name=f"{name}_there")
        m.d.comb += [there.eq(number == most), beats.ready.eq(loading & ~there)]
        with m.If(self.instructions.ready):
            m.d.sync += number.eq(0)
        with m.Elif(beats.valid & beats.ready):
            m.d.sync += number.eq(number + 1)
        return there, number

    def _metadata(self, m, loading, loaded, half, block, step):
        """Codes of the step at hand; whether those of the pass that is loaded are there, whether any is none.

        A beat of a quad holds rows g and g + 8. It stays for two clocks, and they are written one by one.
        """
        parameters = self.parameters
        m.submodules.codes = codes = CodeBuffer(parameters)
        count = Signal(range(METADATA_CLOCKS + 1), name="codes_count")
        there = Signal(name="codes_there")
        takes = Signal(name="codes_take")
        flawed = Signal()
        registers = [self.codes.payload[lane] for lane in range(QUAD)]
        words = row_words(registers, loaded.selector, parameters.element_bits)
        m.d.comb += [
            there.eq(~loaded.sparse | (count == METADATA_CLOCKS)),
            takes.eq(loading & ~there & self.codes.valid),
            self.codes.ready.eq(loading & ~there & count[0]),
            codes.takes.eq(takes),
            codes.half.eq(half),
            codes.read_half.eq(~half),
            codes.row.eq(Cat(count[1 : 1 + (QUADS - 1).bit_length()], count[0])),
            codes.word.eq(Mux(count[0], words[1], words[0])),
            codes.block.eq(block),
            codes.step.eq(step),
        ]
        wrong = Cat(undefined(code, parameters.codes) for code in split(codes.word)).any()
        with m.If(self.instructions.ready):
            m.d.sync += [count.eq(0), flawed.eq(0)]
        with m.Elif(takes):
            m.d.sync += [count.eq(count + 1), flawed.eq(flawed | wrong)]
        return codes.codes, there, flawed & loaded.sparse

    def _lanes(self, m, words, elements, codes, current, goes, place, starts, takes_c):
        """The lanes, behind a register for the operands of the step at hand."""
        parameters = self.parameters
        latency = parameters.step_cycles
        column = delayed(m, elements, 1, name="column")
        control = {
            "adds": delayed(m, goes, latency, name="adds", resets=True),
            "place": delayed(m, place, latency, name="place"),
            "first": delayed(m, starts, latency, name="first"),
        }
        from_c = delayed(m, goes & takes_c, latency, name="from_c", resets=True)
        m.d.comb += self.c_store.given.ready.eq(from_c)
        code_bits = 4 * parameters.lane.groups
        for number in range(parameters.lanes):
            m.submodules[f"lane_{number}"] = lane = Lane(parameters.lane)
            m.d.comb += [getattr(lane, name).eq(value) for name, value in control.items()]
            word = words[number * WORD_BITS :][:WORD_BITS]
            m.d.comb += [
                lane.a.eq(delayed(m, word, 1, name=f"word_{number}")),
                lane.b.eq(column),
                lane.start.eq(Mux(from_c, self.c_store.given.payload[number], ZERO)),
                self.store.beat["values"][number].eq(lane.total),
            ]
            if parameters.sparse:
                own = codes[number * code_bits :][:code_bits]
                steer = Mux(current.sparse, own, dense_codes(parameters.lane))
                m.d.comb += lane.codes.eq(delayed(m, steer, 1, name=f"codes_{number}"))


def instruction_layout(parameters):
    """A pass: where it begins, whether it gives results; whether it is sparse, and its selector."""
    sparse = {"sparse": 1, "selector": parameters.metadata.selector_bits} if parameters.sparse else {}
    return data.StructLayout({"begins": 2, "gives": 1, **sparse})


def accumulators_layout(parameters):
    """A column of a block of rows."""
    return data.ArrayLayout(ACCUMULATOR_BITS, parameters.lanes)


def results_layout(parameters):
    """A column of a block of rows, and whether any code behind it was none."""
    return data.StructLayout({"values": accumulators_layout(parameters), "undefined": 1})
