"""Floating-point product of two numbers of one format, in that format or in a wider one."""

from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

from accelsim_rtl.float.stages import Stages
from accelsim_rtl.float.words import ROUNDED_CUTS, number, rounded


class FloatMultiplier(Component):
    """result = first * second, rounded to nearest even; FP16 to FP32 is exact.

    Latency: `latency` clocks, 0: none. Throughput: a product a clock.
    """

    def __init__(self, form, result_form, latency):
        self.form, self.result_form, self.latency = form, result_form, latency
        super().__init__({"first": In(form.bits), "second": In(form.bits), "result": Out(result_form.bits)})

    def elaborate(self, platform):
        m = Module()
        form, result_form = self.form, self.result_form
        stages = Stages(m, self.latency, 2 + ROUNDED_CUTS)

        one, other = number(m, self.first, form, name="first"), number(m, self.second, form, name="second")
        offset = result_form.bias - 2 * form.bias
        left, right, place, sign, nan, infinite = stages.cut(
            left=one.significand,
            right=other.significand,
            place=one.exponent + other.exponent + offset,
            sign=one.sign ^ other.sign,
            nan=one.nan | other.nan | (one.infinite & other.zero) | (other.infinite & one.zero),
            infinite=one.infinite | other.infinite,
        )
        product, place, sign, nan, infinite = stages.cut(
            product=left * right, place=place, sign=sign, nan=nan, infinite=infinite
        )
        word = rounded(
            m,
            stages,
            result_form,
            sign=sign,
            magnitude=product,
            place=place.as_signed(),
            least_place=2 + offset,
            nan=nan,
            infinite=infinite,
        )
        m.d.comb += self.result.eq(word)
        return m
