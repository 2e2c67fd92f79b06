"""The metadata decoder: registers of a quad's lanes in, selects of its two rows of A out."""

from amaranth.hdl import Cat, Module
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.stc.lane import WORD_BITS
from accelsim.units.stc.metadata import QUAD, ROWS
from accelsim.units.stc.metadata import Metadata as Parameters
from accelsim_rtl.stc.codes import positions, row_words, split, undefined


class Metadata(Component):
    """quads: registers of four lanes, and the selector. rows: positions of every code, or that it is none.

    Latency: a clock. Throughput: a beat a clock.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        super().__init__(
            {
                "quads": In(stream.Signature(quads_layout(parameters))),
                "rows": Out(stream.Signature(rows_layout(parameters))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, given, quad = self.parameters, self.rows, self.quads.payload
        words = row_words(
            [quad.registers[lane] for lane in range(QUAD)], quad.selector, parameters.element_bits
        )
        m.d.comb += self.quads.ready.eq(~given.valid | given.ready)
        with m.If(self.quads.ready):
            m.d.sync += given.valid.eq(self.quads.valid)
            for row, word in enumerate(words):
                for number, code in enumerate(split(word)):
                    first, second = positions(code, parameters.codes)
                    flag = undefined(code, parameters.codes)
                    m.d.sync += given.payload[row][number].eq(Cat(first[:2], second[:2], flag))
        return m


def quads_layout(parameters):
    """Registers of four lanes, and the selector."""
    return data.StructLayout(
        {"registers": data.ArrayLayout(WORD_BITS, QUAD), "selector": parameters.selector_bits}
    )


def rows_layout(parameters):
    """Selects of two rows."""
    select = data.StructLayout({"first": 2, "second": 2, "undefined": 1})
    return data.ArrayLayout(data.ArrayLayout(select, parameters.row_codes), ROWS)
