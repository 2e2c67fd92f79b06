"""Addresses of nested loops: a counter a level, and no multiplication."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out


class Walker(Component):
    """begins, base: the walk starts. counts, strides: of every level, the innermost first, held meanwhile.

    addresses: one after the other; inner levels begin again when an outer one goes on. active: some are left.
    """

    def __init__(self, levels, count_bits, address_bits):
        self.levels, self.count_bits = levels, count_bits
        counts = {f"count_{level}": In(count_bits) for level in range(levels)}
        strides = {f"stride_{level}": In(address_bits) for level in range(levels)}
        super().__init__(
            {
                "begins": In(1),
                "base": In(address_bits),
                **counts,
                **strides,
                "addresses": Out(stream.Signature(address_bits)),
                "active": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        levels = range(self.levels)
        places = [Signal(self.count_bits, name=f"place_{level}") for level in levels]
        starts = [Signal.like(self.base, name=f"start_{level}", reset_less=True) for level in levels]
        ends = [places[level] == getattr(self, f"count_{level}") - 1 for level in levels]
        m.d.comb += [self.addresses.valid.eq(self.active), self.addresses.payload.eq(starts[0])]

        # The lowest level that does not end goes on; those below it begin again there.
        with m.If(self.addresses.valid & self.addresses.ready):
            carry = 1
            for level in levels:
                goes = Signal(name=f"goes_{level}")
                m.d.comb += goes.eq(carry & ~ends[level])
                further = starts[level] + getattr(self, f"stride_{level}")
                with m.If(goes):
                    m.d.sync += places[level].eq(places[level] + 1)
                    m.d.sync += [starts[lower].eq(further) for lower in range(level + 1)]
                    m.d.sync += [places[lower].eq(0) for lower in range(level)]
                carry = carry & ends[level]
            with m.If(carry):
                m.d.sync += self.active.eq(0)
        with m.If(self.begins):
            m.d.sync += [self.active.eq(1), *(place.eq(0) for place in places)]
            m.d.sync += [start.eq(self.base) for start in starts]
        return m
