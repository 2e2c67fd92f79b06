"""The edges of the array: what enters a row or column later than the first one."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from accelsim_rtl.topk.pipeline import delayed

MOST_REGISTERS = 2
"""A longer delay is a memory that is written round and round."""


class Skew(Component):
    """later: `now` as it was `delays[long]` clocks ago. long: which of two delays, the second no shorter."""

    def __init__(self, bits, delays):
        self.bits, self.delays = bits, delays
        super().__init__({"now": In(bits), "long": In(1), "later": Out(bits)})

    def elaborate(self, platform):
        m = Module()
        short, long = self.delays
        if long <= MOST_REGISTERS:
            ways = [delayed(m, self.now, clocks, name=f"after_{clocks}") for clocks in self.delays]
            m.d.comb += self.later.eq(Mux(self.long, ways[1], ways[0]))
            return m
        depth = 1 << (long - 1).bit_length()
        m.submodules.ring = ring = Memory(shape=self.bits, depth=depth, init=[])
        write, read = ring.write_port(), ring.read_port(domain="comb")
        place = Signal(range(depth), reset_less=True)
        m.d.sync += place.eq(place + 1)
        m.d.comb += [
            write.en.eq(1),
            write.addr.eq(place),
            write.data.eq(self.now),
            read.addr.eq(place - Mux(self.long, long, short)),
            self.later.eq(read.data if short else Mux(self.long, read.data, self.now)),
        ]
        return m


def skewed_bit(m, bit, delays, long, *, name):
    """A bit that is zero after a reset, as much later as `Skew` says."""
    held = delayed_taps(m, bit, max(delays), name=name)
    return Mux(long, held[delays[1]], held[delays[0]])


def delayed_taps(m, bit, clocks, *, name):
    """A bit now and after each of `clocks` clocks."""
    taps = [bit]
    for clock in range(clocks):
        taps.append(delayed(m, taps[-1], 1, name=f"{name}_{clock}", resets=True))
    return taps
