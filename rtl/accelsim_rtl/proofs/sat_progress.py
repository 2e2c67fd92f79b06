"""The machine's controller goes on: every job of a list begins and is told, in so many steps and no more."""

from amaranth.hdl import Assert, Module, Mux, Signal

from accelsim.units.sat.machine import COUNT_BITS
from accelsim.units.sat.model import STATES
from accelsim_rtl.proofs.watching import Harness
from accelsim_rtl.sat.controller import Controller

STEPS = len(STATES) - 1
"""Of a job: it is asked for, read, begun, run and told."""


class ListEnds(Harness):
    """Around a controller. In every state it waits for one party, and goes a step when that has moved."""

    def __init__(self, controller: Controller):
        super().__init__(controller, taps={"left": ("left", COUNT_BITS)})

    def claim(self, m: Module):
        super().claim(m)
        state = {name: self.state == number for number, name in enumerate(STATES)}
        busy = ~state["idle"]

        # Steps that are left of the list, and whether one is gone in this clock.
        steps = Signal(COUNT_BITS + STEPS.bit_length() + 1)
        goes = Signal()
        m.d.comb += [
            steps.eq(Mux(busy, STEPS * self.left - (self.state - 1), 0)),
            goes.eq(
                (state["ask"] & self.requests.ready)
                | (state["read"] & self.arrives & self.last)
                | state["begin"]
                | (state["run"] & self.ended)
                | (state["done"] & self.done.ready)
            ),
            Assert(self.state < len(STATES)),
            Assert(state["idle"] | (self.left != 0)),
        ]
        expected, known = Signal.like(steps), Signal()
        starts = state["idle"] & self.starts
        m.d.sync += [
            known.eq(1),
            expected.eq(Mux(starts, STEPS * self.count, steps - goes)),
        ]
        m.d.comb += Assert(~known | (steps == expected))

        # Jobs begin as often as they are told, one at a time.
        begun, told = Signal(2), Signal(2)
        m.d.sync += [begun.eq(begun + self.begins), told.eq(told + (self.done.valid & self.done.ready))]
        m.d.comb += Assert(begun == (told + (state["run"] | state["done"]))[:2])
