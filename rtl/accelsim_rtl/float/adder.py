"""Floating-point sum of two numbers of one format."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

from accelsim_rtl.float.stages import Stages
from accelsim_rtl.float.words import ROUNDED_CUTS, jammed, number, rounded

GUARD_BITS = 3
"""Below the smaller number's last place: two that may come up again, one for all that is lost."""


class FloatAdder(Component):
    """result = first + second, rounded to nearest even.

    Latency: `latency` clocks, 0: none. Throughput: a sum a clock.
    """

    def __init__(self, form, latency):
        self.form, self.latency = form, latency
        super().__init__({"first": In(form.bits), "second": In(form.bits), "result": Out(form.bits)})

    def elaborate(self, platform):
        m = Module()
        form = self.form
        stages = Stages(m, self.latency, 3 + ROUNDED_CUTS)

        # The larger magnitude first.
        swaps = Signal()
        m.d.comb += swaps.eq(self.second[:-1] > self.first[:-1])
        large = Signal(form.bits)
        small = Signal(form.bits)
        m.d.comb += [
            large.eq(Mux(swaps, self.second, self.first)),
            small.eq(Mux(swaps, self.first, self.second)),
        ]
        upper, lower = number(m, large, form, name="large"), number(m, small, form, name="small")
        differ = upper.sign ^ lower.sign
        upper_significand, lower_significand, exponent, distance, sign, both, differ, nan, infinite = (
            stages.cut(
                upper=upper.significand,
                lower=lower.significand,
                exponent=upper.exponent,
                distance=(upper.exponent - lower.exponent)[: form.exponent_bits],
                sign=upper.sign,
                both=upper.sign & lower.sign,
                differ=differ,
                nan=upper.nan | lower.nan | (upper.infinite & lower.infinite & differ),
                infinite=upper.infinite,
            )
        )

        # Both at the same place.
        room = Const(0, GUARD_BITS)
        aligned = jammed(m, Cat(room, lower_significand), distance, name="aligned")
        upper_significand, aligned, exponent, sign, both, differ, nan, infinite = stages.cut(
            upper=upper_significand,
            aligned=aligned,
            exponent=exponent,
            sign=sign,
            both=both,
            differ=differ,
            nan=nan,
            infinite=infinite,
        )

        # Of equal magnitudes nothing is left, which is minus zero only if both were negative.
        width = form.significand_bits + GUARD_BITS + 1
        added = Cat(room, upper_significand) + (aligned ^ differ.replicate(width)) + differ
        total, exponent, sign, both, nan, infinite = stages.cut(
            total=added[:width], exponent=exponent, sign=sign, both=both, nan=nan, infinite=infinite
        )
        word = rounded(
            m,
            stages,
            form,
            sign=Mux(total.any(), sign, both),
            magnitude=total,
            place=Cat(exponent, 0).as_signed(),
            least_place=1,
            nan=nan,
            infinite=infinite,
        )
        m.d.comb += self.result.eq(word)
        return m
