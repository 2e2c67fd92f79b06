"""The tensor core's control goes on: a walk ends after its loops' lines, a pass after its steps."""

from amaranth.hdl import Assert, Assume, Module, Mux, Signal

from accelsim.units.stc.tile import A_BEATS
from accelsim_rtl.proofs.promised_lines import PromisedLines
from accelsim_rtl.proofs.watching import Harness
from accelsim_rtl.stc.tile import Tile
from accelsim_rtl.walker import Walker


class WalkEnds(Harness):
    """Around a walker whose loops stay as they are while it walks; none is empty."""

    def __init__(self, walker: Walker):
        bits, levels = len(walker.base), range(walker.levels)
        taps = {f"place_{level}": (f"place_{level}", walker.count_bits) for level in levels}
        super().__init__(walker, taps=taps | {f"start_{level}": (f"start_{level}", bits) for level in levels})

    def claim(self, m: Module):
        super().claim(m)
        levels = range(self.dut.levels)
        counts = [getattr(self, f"count_{level}") for level in levels]
        places = [getattr(self, f"place_{level}") for level in levels]
        strides = [getattr(self, f"stride_{level}") for level in levels]

        # The loops are drawn in the clock behind the one in which the walk begins.
        base, fresh = Signal.like(self.base), Signal()
        left = Signal(self.dut.levels * self.dut.count_bits + 1)
        later = Signal.like(left)
        whole = 1
        for value in [*counts, *strides]:
            before = Signal.like(value)
            m.d.sync += before.eq(value)
            m.d.comb += Assume(~self.active | fresh | (value == before))
        for count in counts:
            m.d.comb += Assume(count != 0)
            whole = whole * count
        m.d.comb += [
            Assume(~(self.begins & self.active)),
            left.eq(Mux(fresh, whole, later)),
        ]
        m.d.sync += [
            fresh.eq(self.begins),
            later.eq(left - (self.addresses.valid & self.addresses.ready)),
        ]
        with m.If(self.begins):
            m.d.sync += base.eq(self.base)

        # An address is offered in every clock while any is left, and it is the loops' own.
        m.d.comb += Assert(self.addresses.valid == (left != 0))
        rest, turn, address = 0, 1, base
        for level in levels:
            rest = rest + turn * (counts[level] - 1 - places[level])
            turn = turn * counts[level]
        for level in reversed(levels):
            address = (address + places[level] * strides[level])[: len(base)]
            start = getattr(self, f"start_{level}")
            m.d.comb += Assert(~self.active | ((places[level] < counts[level]) & (start == address)))
        m.d.comb += Assert(~self.active | (left == (rest + 1)[: len(left)]))


class PassEnds(PromisedLines):
    """Around a tile engine whose beats are there and whose results are taken.

    A pass is loaded in as many clocks as it has beats, and while it runs a step goes in every clock in which
    C is there if it is wanted.
    """

    def __init__(self, tile: Tile):
        registers = {
            "position": ("position", range(tile.parameters.pass_cycles)),
            "available": ("available", range(tile.parameters.c_depth + 1)),
            "a_count": ("a_count", range(A_BEATS + 1)),
            "loading": ("loading", 1),
        }
        stages = tile.parameters.step_cycles
        super().__init__(tile, tile.store, moving="arrives", stages=stages, more=registers)

    def claim(self, m: Module):
        super().claim(m)
        sources = [self.a, self.b, *([self.codes] if self.dut.parameters.sparse else [])]
        m.d.comb += [Assume(each.valid) for each in sources]
        m.d.comb += Assume(self.d.ready)

        # Loading: a beat of each kind a clock.
        age = Signal(range(A_BEATS + 1))
        with m.If(self.instructions.ready):
            m.d.sync += age.eq(0)
        with m.Else():
            m.d.sync += age.eq(Mux(age == A_BEATS, age, age + 1))
        m.d.comb += Assert(~self.loading | (self.a_count == age))

        # Running: a step a clock.
        ran, went, before = Signal(), Signal(), Signal.like(self.position)
        m.d.sync += [ran.eq(self.running), went.eq(self.available != 0), before.eq(self.position)]
        with m.If(ran & went):
            m.d.comb += Assert(self.position == (before + 1)[: len(before)])
        m.d.comb += Assert(self.level <= 1)
