"""A floating-point number in another format."""

from amaranth.hdl import Const, Module
from amaranth.lib.wiring import Component, In, Out

from accelsim_rtl.float.stages import Stages
from accelsim_rtl.float.words import ROUNDED_CUTS, number, rounded


class FloatConverter(Component):
    """result = operand, rounded to nearest even; to a wider format it is exact.

    Latency: `latency` clocks, 0: none. Throughput: a number a clock.
    """

    def __init__(self, form, result_form, latency):
        self.form, self.result_form, self.latency = form, result_form, latency
        super().__init__({"operand": In(form.bits), "result": Out(result_form.bits)})

    def elaborate(self, platform):
        m = Module()
        operand = number(m, self.operand, self.form, name="operand")
        offset = self.result_form.bias - self.form.bias - 1
        word = rounded(
            m,
            Stages(m, self.latency, ROUNDED_CUTS),
            self.result_form,
            sign=operand.sign,
            magnitude=operand.significand,
            place=operand.exponent + Const(offset),
            least_place=1 + offset,
            nan=operand.nan,
            infinite=operand.infinite,
        )
        m.d.comb += self.result.eq(word)
        return m
