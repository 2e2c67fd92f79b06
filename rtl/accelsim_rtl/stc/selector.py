"""The operand selector: of every four elements the two that a code names, a register behind it."""

from amaranth.hdl import Module
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from accelsim.golden.two_four import BITS_OF_A_CODE
from accelsim.units.stc.selector import GROUP, KEPT
from accelsim.units.stc.selector import Selector as Parameters
from accelsim_rtl.stc.codes import picked, undefined


class Selector(Component):
    """groups: elements and a code of every group. picked: its two operands, `undefined` if the code is none.

    Latency: a clock. Throughput: a beat a clock.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        super().__init__(
            {
                "groups": In(stream.Signature(groups_layout(parameters))),
                "picked": Out(stream.Signature(picked_layout(parameters))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        given, codes = self.picked, self.parameters.codes
        m.d.comb += self.groups.ready.eq(~given.valid | given.ready)
        with m.If(self.groups.ready):
            m.d.sync += given.valid.eq(self.groups.valid)
            for number in range(self.parameters.groups):
                code = self.groups.payload.codes[number]
                elements = [self.groups.payload.elements[number][place] for place in range(GROUP)]
                for place, operand in enumerate(picked(code, elements, codes)):
                    m.d.sync += given.payload.operands[number][place].eq(operand)
                m.d.sync += given.payload.undefined[number].eq(undefined(code, codes))
        return m


def groups_layout(parameters):
    """Elements of groups, and their codes."""
    group = data.ArrayLayout(parameters.operand_bits, GROUP)
    return data.StructLayout(
        {
            "elements": data.ArrayLayout(group, parameters.groups),
            "codes": data.ArrayLayout(BITS_OF_A_CODE, parameters.groups),
        }
    )


def picked_layout(parameters):
    """Operands of groups, and which of their codes are none."""
    pair = data.ArrayLayout(parameters.operand_bits, KEPT)
    return data.StructLayout(
        {"operands": data.ArrayLayout(pair, parameters.groups), "undefined": parameters.groups}
    )
