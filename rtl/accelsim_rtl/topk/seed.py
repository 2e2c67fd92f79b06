"""The seed of a row's pivots, `accelsim.golden.topk.lfsr_seed`: a product with a constant, by additions.

A multiplier block of an ECP5 without its own registers would be the slowest part of the engine.
"""

from amaranth import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accelsim.golden import topk as golden
from accelsim_rtl.topk.pipeline import delayed

STATES = 1 << golden.LFSR_BITS


class Seed(wiring.Component):
    """latency: `accelsim.units.topk.parameters.SEED_CYCLES`, the depth of the tree of additions."""

    row_id: In(golden.LFSR_BITS)
    seed: Out(golden.LFSR_BITS)

    def elaborate(self, platform):
        m = Module()
        terms = [(Const(golden.SEED_OFFSET, golden.LFSR_BITS), 1)]
        terms += [(self.row_id << place, sign) for place, sign in signed_digits(golden.SEED_MULTIPLIER)]
        # The multiplier is odd, so that one row id alone leads to 0, which the LFSR would never leave.
        vanishing = -golden.SEED_OFFSET * pow(golden.SEED_MULTIPLIER, -1, STATES) % STATES
        vanishes, stage = self.row_id == vanishing, 0
        while len(terms) > 1:
            last = len(terms) == 2
            pairs = [_added(*terms[first : first + 2]) for first in range(0, len(terms), 2)]
            if last:
                pairs = [(Mux(vanishes, golden.SEED_OFFSET, pairs[0][0]), pairs[0][1])]
            terms = []
            for index, (value, sign) in enumerate(pairs):
                total = Signal(golden.LFSR_BITS, name=f"total_{stage}_{index}", reset_less=True)
                m.d.sync += total.eq(value)
                terms.append((total, sign))
            vanishes, stage = delayed(m, vanishes, 1, name=f"vanishes_{stage}"), stage + 1
        m.d.comb += self.seed.eq(terms[0][0])
        return m


def signed_digits(number):
    """Places and signs of the powers of two that add up to a number, no two of them neighbours."""
    place = 0
    while number:
        if number & 1:
            sign = 2 - (number & 3)
            yield place, sign
            number -= sign
        number >>= 1
        place += 1


def _added(one, other=None):
    """The sum of two signed terms, as one."""
    if other is None:
        return one
    if one[1] == other[1]:
        return one[0] + other[0], one[1]
    positive, negative = (one, other) if one[1] > 0 else (other, one)
    return positive[0] - negative[0], 1
