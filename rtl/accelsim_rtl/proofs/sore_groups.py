"""SORE keeps exactly N of every group, the right ones: a watched number stands in its group's result with its
index, or every number there is stronger.

Which number is watched is drawn, so that what holds for it holds for all.
"""

from amaranth import Cat, Module, Signal
from amaranth.hdl import Assert
from amaranth.lib import data
from amaranth.lib.wiring import Component

from accelsim_rtl.proofs.watching import Harness

__all__ = ["SoreGroups", "taps"]


def taps(parameters) -> dict[str, str]:
    """Store and ranks of lane 0, for the invariants."""
    names = ("store", "rank") if parameters.n > 1 else ("store",)  # a single slot has no rank
    return {f"{name}_{slot}": f"lane_0.{name}_{slot}" for name in names for slot in range(parameters.n)}


class SoreGroups(Harness):
    """Around a SORE engine. Lane 0 is watched; the lanes are alike and share no state."""

    def __init__(self, engine: Component):
        parameters = engine.parameters
        self.pair = data.StructLayout({"value": parameters.value_bits, "index": parameters.index_bits})
        store = {f"store_{slot}": self.pair for slot in range(parameters.n)}
        rank = {f"rank_{slot}": range(parameters.n) for slot in range(parameters.n)}
        super().__init__(engine, watch=1, **store, **rank)

    def claim(self, m: Module):
        super().claim(m)
        parameters = self.dut.parameters
        store = [getattr(self, f"store_{slot}") for slot in range(parameters.n)]
        ranks = [getattr(self, f"rank_{slot}") for slot in range(parameters.n)]
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
            m.d.comb += Assert(ascends(parameters, result, length))

        # What the store looks like while a group is open.
        m.d.comb += Assert(self.position < parameters.m)
        m.d.comb += Assert(ascends(parameters, store, self.position))
        for slot, (pair, rank) in enumerate(zip(store, ranks)):
            others = [
                magnitude(parameters, other) >= magnitude(parameters, pair)
                if place < slot
                else magnitude(parameters, other) > magnitude(parameters, pair)
                for place, other in enumerate(store)
                if place != slot
            ]
            m.d.comb += Assert(rank == sum(others))


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


def ascends(parameters, pairs, length):
    """Indices ascend, so that they differ; those beyond `length` numbers belong to zeros in their own slot."""
    holds = 1
    for slot, pair in enumerate(pairs):
        if slot:
            holds &= pairs[slot - 1].index < pair.index
        filler = (pair.value == 0) & (pair.index == slot) & (slot >= length)
        holds &= filler | (pair.index < length)
    return holds
