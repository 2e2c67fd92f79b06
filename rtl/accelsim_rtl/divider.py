"""Several numbers over one: a pipeline of one clock a bit of the quotient, and two for its rounding."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from accelsim_rtl.topk.pipeline import delayed


class Divider(Component):
    """quotients[l] is numerators[l] / denominator with `fraction_bits`, rounded; numerators are no larger.

    Latency: fraction_bits + 3. Throughput: a line a clock.
    """

    def __init__(self, *, lanes, numerator_bits, denominator_bits, fraction_bits, rounding):
        self.lanes, self.fraction_bits, self.rounding = lanes, fraction_bits, rounding
        super().__init__(
            {
                "numerators": In(data.ArrayLayout(numerator_bits, lanes)),
                "denominator": In(denominator_bits),
                "quotients": Out(data.ArrayLayout(fraction_bits + 1, lanes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        denominators = [self.denominator]
        for bit in range(self.fraction_bits + 1):
            denominators.append(delayed(m, denominators[-1], 1, name=f"denominator_{bit}"))
        for lane in range(self.lanes):
            self._divide(m, lane, denominators)
        return m

    def _divide(self, m, lane, denominators):
        """Bit by bit, highest first: what is left is less than the denominator."""
        width = len(self.denominator)
        rest, quotient = self.numerators[lane], Cat()
        for bit, denominator in enumerate(denominators[:-1]):
            doubled = Cat(0, rest) if bit else rest
            difference = Signal(width + 2, name=f"difference_{lane}_{bit}")
            m.d.comb += difference.eq(doubled - denominator)
            fits = ~difference[-1]
            left = Signal(width, name=f"rest_{lane}_{bit}", reset_less=True)
            found = Signal(bit + 1, name=f"quotient_{lane}_{bit}", reset_less=True)
            m.d.sync += [left.eq(Mux(fits, difference, doubled)), found.eq(Cat(fits, quotient))]
            rest, quotient = left, found

        # Round: twice the rest against the denominator.
        short = Signal(width + 2, name=f"short_{lane}")
        m.d.comb += short.eq(denominators[-1] - Cat(0, rest))
        over, tie = short[-1], Cat(0, rest) == denominators[-1]
        up = {"half_even": over | (tie & quotient[0]), "half_up": over | tie, "floor": 0}[self.rounding]
        rounds = Signal(name=f"rounds_{lane}", reset_less=True)
        rounded = Signal(self.fraction_bits + 1, name=f"rounded_{lane}", reset_less=True)
        quotient = delayed(m, quotient, 1, name=f"whole_{lane}")
        m.d.sync += [rounds.eq(up), rounded.eq(quotient + rounds)]
        m.d.comb += self.quotients[lane].eq(rounded)
