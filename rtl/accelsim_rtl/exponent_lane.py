"""One lane of the exponent unit: exp(-distance), a pipeline without handshake."""

from math import factorial, log

import numpy as np
from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from accelsim.golden.fixed import shift_right
from accelsim.golden.softmax import LN2_EXTRA_BITS
from accelsim.units.exponent import Exponent as Parameters
from accelsim.units.products import multiply_cycles
from accelsim_rtl.arithmetic import multiplied, rounds_up
from accelsim_rtl.topk.pipeline import delayed


class ExponentLane(Component):
    """`power` is exp(-distance) as golden rounds it, `latency_cycles` of the parameters later."""

    def __init__(self, parameters: Parameters, *, target=None):
        self.parameters, self.target = parameters, target
        super().__init__({"distance": In(parameters.distance_bits), "power": Out(parameters.power_bits)})

    def elaborate(self, platform):
        m = Module()
        parameters, form = self.parameters, self.parameters.form
        bits = form.exp_fraction_bits

        # A distance beyond the farthest is as good as it.
        near = Signal(range(parameters.farthest + 1), reset_less=True)
        m.d.sync += near.eq(Mux(self.distance > parameters.farthest, parameters.farthest, self.distance))

        # Halvings: the distance over ln 2, to the nearest.
        inverse = Const(round(2.0**bits / log(2)), bits + 2)
        product = multiplied(m, Cat(near, 0), inverse, name="quotient", target=self.target)
        drop = form.score_fraction_bits + bits
        halvings = Signal(range(parameters.most_halvings + 1), reset_less=True)
        m.d.sync += halvings.eq((product >> drop) + product[drop - 1])
        near = delayed(m, near, multiply_cycles(len(near) + 1, bits + 2) + 1, name="near")

        # Their multiple of ln 2, less the distance: the argument of the polynomial.
        places = np.arange(parameters.most_halvings + 1) * round(log(2) * 2.0 ** (bits + LN2_EXTRA_BITS))
        table = [int(whole) for whole in shift_right(places, LN2_EXTRA_BITS, form.rounding)]
        whole = Signal(max(table).bit_length(), reset_less=True)
        m.d.sync += whole.eq(Array(table)[halvings])
        near = delayed(m, near, 1, name="near_whole")
        argument = Signal(signed(bits), reset_less=True)
        m.d.sync += argument.eq(whole - (near << (bits - form.score_fraction_bits)))

        value = self._polynomial(m, argument)
        halvings = delayed(m, halvings, 2 + form.degree * parameters.step_cycles, name="halvings")
        self._shift(m, value, halvings)
        return m

    def _polynomial(self, m, argument):
        """1 + x + x^2 / 2! + ... by Horner."""
        parameters, form = self.parameters, self.parameters.form
        bits = form.exp_fraction_bits
        value = Const(round(2.0**bits / factorial(form.degree)), bits + 1)
        for power in range(form.degree - 1, -1, -1):
            product = multiplied(m, Cat(value, 0), argument, name=f"product_{power}", target=self.target)
            up = Signal(name=f"up_{power}", reset_less=True)
            floor = Signal(bits + 1, name=f"floor_{power}", reset_less=True)
            value = Signal(bits + 1, name=f"value_{power}", reset_less=True)
            m.d.sync += [
                up.eq(rounds_up(product[bits], product[bits - 1], product[: bits - 1].any(), form.rounding)),
                floor.eq((product >> bits) + round(2.0**bits / factorial(power))),
                value.eq(floor + up),
            ]
            argument = delayed(m, argument, parameters.step_cycles, name=f"argument_{power}")
        return value

    def _shift(self, m, value, halvings):
        """value / 2^halvings, rounded: the lowest bit that is carried along is the guard."""
        rest, sticky = Cat(Const(0, 1), value), Const(0, 1)
        for low, high, name in ((3, len(halvings), "coarse"), (0, 3, "fine")):
            distance = halvings[low:high]
            shifted = Signal(len(rest), name=name, reset_less=True)
            dropped = Signal(name=f"{name}_sticky", reset_less=True)
            moved, lost = rest, sticky
            for steps in range(1, 1 << len(distance)):
                by = min(steps << low, len(rest))
                here = distance == steps
                moved = Mux(here, rest[by:], moved)
                lost = Mux(here, sticky | rest[:by].any(), lost)
            m.d.sync += [shifted.eq(moved), dropped.eq(lost)]
            halvings = delayed(m, halvings, 1, name=f"halvings_{name}")
            rest, sticky = shifted, dropped
        up = rounds_up(rest[1], rest[0], sticky, self.parameters.form.rounding)
        power = Signal.like(self.power, reset_less=True)
        m.d.sync += power.eq(rest[1:] + up)
        m.d.comb += self.power.eq(power)
