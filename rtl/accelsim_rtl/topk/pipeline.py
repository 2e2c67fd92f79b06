"""Registers in a row: a signal some cycles later; and registers side by side."""

from amaranth import Signal

LANES_OF_A_COPY = 4
"""Lanes that share a copy of a register that all lanes ask."""


def delayed(m, value, cycles, *, name, resets=False):
    """`value` as it was `cycles` clocks ago. resets: it is zero after a reset, as control must be."""
    for cycle in range(cycles):
        later = Signal(value.shape(), name=f"{name}_{cycle + 1}", reset_less=not resets)
        m.d.sync += later.eq(value)
        value = later
    return value


def copies(shape, number, *, name, resets=False):
    """Registers that are driven alike and stay apart: the wires of a single one would be the longest."""
    # Equal registers would be made one.
    return [
        Signal(shape, name=f"{name}_{index}", attrs={"keep": 1}, reset_less=not resets)
        for index in range(number)
    ]
