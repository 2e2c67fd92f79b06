"""The decision behind a pass: where the target lies, and what the next pass has to do."""

from amaranth import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accelsim_rtl.topk.pipeline import delayed
from accelsim_rtl.topk.shapes import Shapes


class Decide(wiring.Component):
    """Counts the larger and the smaller elements of a pass and compares them with the target.

    first, last: of the lines whose counts arrive. count_less_one and target: of this pass. Numbers are kept
    less one, so that the last line of the next pass is a slice of one.
    larger, smaller, found: the target lies there; one of them is high for one cycle, three cycles after the
    last counts, when next_count_less_one, next_target and quota are right. quota is `found`'s.
    """

    def __init__(self, parameters):
        self.shapes = shapes = Shapes(parameters)
        super().__init__(
            {
                "first": In(1),
                "last": In(1),
                "larger_counted": In(shapes.width.bit_length()),
                "smaller_counted": In(shapes.width.bit_length()),
                "count_less_one": In(shapes.index_bits),
                "target": In(shapes.index_bits),
                "larger": Out(1),
                "smaller": Out(1),
                "found": Out(1),
                "next_count_less_one": Out(shapes.index_bits),
                "next_target": Out(shapes.index_bits),
                "quota": Out(shapes.count_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = self.shapes.index_bits
        # Less one, hence signed: the larger and the smaller ones, and those that are not smaller.
        larger, smaller, others = (
            Signal(signed_bits(bits), name=name, reset_less=True)
            for name in ("larger_", "smaller_", "others")
        )
        with m.If(self.first):
            m.d.sync += [
                larger.eq(self.larger_counted - 1),
                smaller.eq(self.smaller_counted - 1),
                others.eq(self.count_less_one - self.smaller_counted),
            ]
        with m.Else():
            m.d.sync += [
                larger.eq(larger + self.larger_counted),
                smaller.eq(smaller + self.smaller_counted),
                others.eq(others - self.smaller_counted),
            ]
        counted = delayed(m, self.last, 2, name="counted", resets=True)

        # Decide.
        among_larger, among_smaller = (
            Signal(name=name, reset_less=True) for name in ("among_larger", "among_smaller")
        )
        m.d.sync += [among_larger.eq(self.target <= larger), among_smaller.eq(self.target > others)]
        m.d.sync += [
            self.larger.eq(counted & among_larger),
            self.smaller.eq(counted & among_smaller),
            self.found.eq(counted & ~among_larger & ~among_smaller),
        ]

        # What follows from it.
        m.d.comb += [
            self.next_count_less_one.eq(smaller),
            self.next_target.eq(self.target + ~others),
            self.quota.eq(self.target - larger),
        ]
        with m.If(self.larger):
            m.d.comb += [self.next_count_less_one.eq(larger), self.next_target.eq(self.target)]
        return m


def signed_bits(bits):
    """A shape that holds -1 up to 2^bits - 1."""
    return signed(bits + 1)
