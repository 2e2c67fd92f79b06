"""How many are inside, and in registers what is asked most: whether one is there, whether one fits."""

from amaranth.hdl import Module, Mux
from amaranth.lib.wiring import Component, In, Out


class Level(Component):
    """rises: one comes in, if there is `room`. falls: one goes, if there are `some`. most: that fit.

    next_some, next_room: what `some` and `room` are from the next clock on.
    """

    def __init__(self, most):
        self.most = most
        super().__init__(
            {
                "rises": In(1),
                "falls": In(1),
                "level": Out(range(most + 1)),
                "some": Out(1),
                "room": Out(1, init=1),
                "next_some": Out(1),
                "next_room": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        empty, single = self.level == 0, self.level == 1
        full, filled = self.level == self.most, self.level == self.most - 1
        # One carry chain, that of whichever happens alone.
        with m.If(self.rises ^ self.falls):
            m.d.sync += self.level.eq(self.level + Mux(self.falls, -1, 1))
        m.d.comb += [
            self.next_some.eq(self.rises | ~(empty | (single & self.falls))),
            self.next_room.eq(self.falls | ~(full | (filled & self.rises))),
        ]
        m.d.sync += [self.some.eq(self.next_some), self.room.eq(self.next_room)]
        return m
