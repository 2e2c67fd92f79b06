"""What a code of 2:4 names is what comes out: no operand that was pruned, no row of other lanes."""

from amaranth.hdl import Array, Assert, Cat, Module, Signal, Value

from accelsim.golden.two_four import BITS_OF_A_CODE, LEGAL_CODES, ORDERED_CODES
from accelsim.units.stc.metadata import ROWS
from accelsim.units.stc.selector import GROUP
from accelsim_rtl.proofs.watching import Harness
from accelsim_rtl.stc.metadata import Metadata
from accelsim_rtl.stc.selector import Selector


class SelectorPicks(Harness):
    """Around an operand selector: the operands of a beat are those at the positions of its codes."""

    def __init__(self, selector: Selector):
        super().__init__(selector)

    def claim(self, m: Module):
        super().claim(m)
        parameters = self.dut.parameters
        beat = held(m, self.groups)
        for number in range(parameters.groups):
            code = beat.codes[number]
            elements = Array(beat.elements[number][place] for place in range(GROUP))
            operands = self.picked.payload.operands[number]
            flag = self.picked.payload.undefined[number]
            right = (operands[0] == elements[code[:2]]) & (operands[1] == elements[code[2:]])
            m.d.comb += [
                Assert(~self.picked.valid | (flag == ~is_legal(code, parameters.codes))),
                Assert(~self.picked.valid | flag | right),
            ]


class MetadataRows(Harness):
    """Around a metadata decoder: a row's codes are those of its lane, and what is no code is flagged."""

    def __init__(self, decoder: Metadata):
        super().__init__(decoder)

    def claim(self, m: Module):
        super().claim(m)
        parameters = self.dut.parameters
        quad = held(m, self.quads)
        codes = Array(
            Value.cast(quad.registers)[place:][:BITS_OF_A_CODE]
            for place in range(0, len(Value.cast(quad.registers)), BITS_OF_A_CODE)
        )
        for row in range(ROWS):
            for number in range(parameters.row_codes):
                # Eight codes a register: a row has one of two, or half of one of four.
                if parameters.element_bits == 8:
                    place = 16 * quad.selector + 8 * row + number
                else:
                    place = 8 * quad.selector + 4 * row + number
                code, select = Signal(BITS_OF_A_CODE), self.rows.payload[row][number]
                m.d.comb += code.eq(codes[place])
                right = (select.first == code[:2]) & (select.second == code[2:])
                flag = ~is_legal(code, parameters.codes)
                m.d.comb += Assert(~self.rows.valid | ((select.undefined == flag) & (flag | right)))


def held(m, port):
    """The beat that a stream gave last: what a register behind it is about."""
    beat = Signal(port.payload.shape(), name="beat")
    with m.If(port.valid & port.ready):
        m.d.sync += beat.eq(port.payload)
    return beat


def is_legal(code, codes):
    """Whether a code is one of golden's table."""
    legal = ORDERED_CODES if codes == "ordered" else LEGAL_CODES
    return Cat(code == each for each in legal).any()
