"""Registers in a row: a signal some cycles later."""

from amaranth import Signal


def delayed(m, value, cycles, *, name, resets=False):
    """`value` as it was `cycles` clocks ago. resets: it is zero after a reset, as control must be."""
    for cycle in range(cycles):
        later = Signal(value.shape(), name=f"{name}_{cycle + 1}", reset_less=not resets)
        m.d.sync += later.eq(value)
        value = later
    return value
