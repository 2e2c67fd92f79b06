"""SORE keeps exactly N of every group, the right ones: a watched number stands in its group's result with its
index, or every number there is stronger.

Which number is watched is drawn, so that what holds for it holds for all.
"""

from amaranth.hdl import Assert, Cat, Module, Signal

from accelsim_rtl.proofs.watching import Harness
from accelsim_rtl.sore import Sore
from accelsim_rtl.sore_lane import pair_layout


class SoreGroups(Harness):
    """Around a SORE engine. Lane 0 is watched; the lanes are alike and share no state."""

    def __init__(self, engine: Sore):
        parameters = engine.parameters
        slots = range(parameters.n)
        self.pair = pair_layout(parameters)
        taps = {f"store_{slot}": (f"lane_0.store_{slot}", self.pair) for slot in slots}
        if parameters.n > 1:  # a single slot has no rank
            taps |= {f"rank_{slot}": (f"lane_0.rank_{slot}", range(parameters.n)) for slot in slots}
        super().__init__(engine, drawn={"watch": 1}, taps=taps)

    def claim(self, m: Module):
        super().claim(m)
        parameters = self.dut.parameters
        store = [getattr(self, f"store_{slot}") for slot in range(parameters.n)]
        result = [self.kept.payload[0][slot] for slot in range(parameters.n)]

        take, leave, ends = Signal(), Signal(), Signal()
        m.d.comb += [
            take.eq(self.weights.valid & self.weights.ready),
            leave.eq(self.kept.valid & self.kept.ready),
            ends.eq(self.weights.payload.last | (self.position == parameters.m - 1)),
        ]

        # The watched number: first in an open group, then in a finished one that waits.
        watched = Signal(self.pair)
        opened, finished = Signal(), Signal()
        begins = take & self.watch & ~opened & ~finished
        with m.If(leave):
            m.d.sync += finished.eq(0)
        with m.If(begins):
            m.d.sync += [
                watched.value.eq(self.weights.payload["values"][0]),
                watched.index.eq(self.position),
                opened.eq(1),
            ]
        with m.If(take & ends & (opened | begins)):
            m.d.sync += [opened.eq(0), finished.eq(1)]
        with m.If(opened):
            m.d.comb += Assert(stands(parameters, watched, store))
            m.d.comb += Assert(watched.index < self.position)
        with m.If(finished):
            m.d.comb += Assert(self.kept.valid & stands(parameters, watched, result))

        # N pairs, ascending; beyond a short group's end they are zeros.
        length = Signal(range(parameters.m + 1))
        with m.If(take & ends):
            m.d.sync += length.eq(self.position + 1)
        with m.If(self.kept.valid):
            m.d.comb += Assert(ascends(result, length))

        # Invariants of the store while a group is open.
        m.d.comb += Assert(self.position < parameters.m)
        m.d.comb += Assert(ascends(store, self.position))
        if parameters.n > 1:
            for slot in range(parameters.n):
                m.d.comb += Assert(getattr(self, f"rank_{slot}") == rank(parameters, store, slot))


def rank(parameters, store, slot):
    """How many of the other pairs are stronger; of equals those before it are."""
    mine = magnitude(parameters, store[slot])
    before = [magnitude(parameters, pair) >= mine for pair in store[:slot]]
    behind = [magnitude(parameters, pair) > mine for pair in store[slot + 1 :]]
    return sum([*before, *behind])


def magnitude(parameters, pair):
    """A number without its sign."""
    return pair.value[: parameters.value_bits - 1]


def stands(parameters, watched, pairs):
    """The watched number is among the pairs as it came, or all of them are stronger."""
    mine = magnitude(parameters, watched)
    found = [(pair.index == watched.index) & (pair.value == watched.value) for pair in pairs]
    stronger = [
        (magnitude(parameters, pair) > mine)
        | ((magnitude(parameters, pair) == mine) & (pair.index < watched.index))
        for pair in pairs
    ]
    others = [pair.index != watched.index for pair in pairs]
    return Cat(found).any() | (Cat(stronger).all() & Cat(others).all())


def ascends(pairs, length):
    """Indices ascend, so that they differ; beyond `length` numbers they belong to zeros in their own slot."""
    holds = 1
    for slot, pair in enumerate(pairs):
        if slot:
            holds &= pairs[slot - 1].index < pair.index
        filler = (pair.value == 0) & (pair.index == slot) & (slot >= length)
        holds &= filler | (pair.index < length)
    return holds
