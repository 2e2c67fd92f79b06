"""The decision behind a pass: where the target lies, and what the next pass has to do."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accelsim_rtl.topk.pipeline import delayed
from accelsim_rtl.topk.shapes import Shapes


class Decide(wiring.Component):
    """Counts the larger and the smaller elements of a pass, and from the target on: signs are the decision.

    starts: the cycle before a pass's first counts arrive; last: its last ones do. count_less_one and target:
    of this pass. Numbers are kept less one, so that the last line of the next pass is a slice of one.
    larger, smaller, found: the target lies there; one of them is high for one cycle, three cycles after the
    last counts, when next_count_less_one, next_target and quota are right. quota is `found`'s.
    """

    def __init__(self, parameters):
        self.shapes = shapes = Shapes(parameters)
        super().__init__(
            {
                "starts": In(1),
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
        # Less one, hence signed: the larger and the smaller ones. Over and under: by how much the target lies
        # below the larger ones, and below those that are not smaller.
        larger, smaller, over, under = (
            Signal(signed_bits(bits), name=f"{name}_total", reset_less=True)
            for name in ("larger", "smaller", "over", "under")
        )
        room = Signal(signed_bits(bits), reset_less=True)
        m.d.sync += room.eq(self.count_less_one - self.target)
        nothing_over = Cat(~self.target, 1).as_signed()
        # Nothing is counted in the cycle of `starts`.
        m.d.sync += [
            larger.eq(Mux(self.starts, -1, larger) + self.larger_counted),
            smaller.eq(Mux(self.starts, -1, smaller) + self.smaller_counted),
            over.eq(Mux(self.starts, nothing_over, over) + self.larger_counted),
            under.eq(Mux(self.starts, room, under) - self.smaller_counted),
        ]

        # Decide.
        counted = delayed(m, self.last, 1, name="counted", resets=True)
        among_larger, among_smaller, among_neither = (
            Signal(name=name) for name in ("among_larger", "among_smaller", "among_neither")
        )
        m.d.sync += [
            among_larger.eq(counted & ~over[-1]),
            among_smaller.eq(counted & under[-1]),
            among_neither.eq(counted & over[-1] & ~under[-1]),
        ]

        # What follows from it.
        m.d.sync += [
            self.larger.eq(among_larger),
            self.smaller.eq(among_smaller),
            self.found.eq(among_neither),
            self.next_count_less_one.eq(Mux(among_larger, larger, smaller)),
            self.next_target.eq(Mux(among_larger, self.target, ~under)),
            self.quota.eq(-over),
        ]
        return m


def signed_bits(bits):
    """A shape that holds -1 up to 2^bits - 1."""
    return signed(bits + 1)
