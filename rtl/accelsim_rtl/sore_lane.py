"""One lane of SORE: the N largest magnitudes of a group that arrives one number a clock.

The store is kept in the order of arrival, so that indices ascend without sorting, and every slot knows its
rank among the others, so that the weakest is found without comparing slots with each other.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.sore import Sore as Parameters


def pair_layout(parameters: Parameters) -> data.StructLayout:
    """A kept number and its index within the group."""
    return data.StructLayout({"value": parameters.value_bits, "index": parameters.index_bits})


class SoreLane(Component):
    """Serial insertion in a store of N slots.

    Latency: `kept` holds the finished group in the clock after `take` with `ends`.
    Throughput: one number a clock.

    Members
    -------
    value, index : In
        The newcomer, and its place in the group.
    filled : In(n)
        Slot i holds a number of this group: ones from the lowest bit, as many as numbers came, at most N.
    take : In(1)
        Insert the newcomer.
    ends : In(1)
        The newcomer is the last of its group.
    kept : Out
        N pairs of the last finished group, indices ascending.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        pair = pair_layout(parameters)
        super().__init__(
            {
                "value": In(parameters.value_bits),
                "index": In(parameters.index_bits),
                "filled": In(parameters.n),
                "take": In(1),
                "ends": In(1),
                "kept": Out(data.ArrayLayout(pair, parameters.n)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        n, pair = self.parameters.n, pair_layout(self.parameters)
        slots = range(n)

        # A group that ends early shows zeros at its lowest free positions.
        filler = [pair.const({"value": 0, "index": slot}) for slot in slots]
        store = [Signal(pair, name=f"store_{slot}", init=filler[slot]) for slot in slots]
        rank = [Signal(range(n), name=f"rank_{slot}", init=slot) for slot in slots]

        # Who is weaker than the newcomer? Only a strictly larger magnitude beats.
        magnitude = slice(0, self.parameters.value_bits - 1)
        beaten = Signal(n)
        unbeaten = Signal(n)
        for slot in slots:
            m.d.comb += beaten[slot].eq(
                self.filled[slot] & (self.value[magnitude] > store[slot].value[magnitude])
            )
        m.d.comb += unbeaten.eq(self.filled & ~beaten)

        # Who leaves? The first free slot's filler, or the weakest of a full store, if beaten.
        full = self.filled[-1]
        free = ~self.filled & Cat(1, self.filled[:-1])
        weakest = Cat(rank[slot] == n - 1 for slot in slots)
        leaves = Signal(n)
        m.d.comb += leaves.eq(Mux(full, weakest & beaten, free))

        # A full store closes the gap from above and appends the newcomer; another has a free slot for it.
        newcomer = Signal(pair)
        m.d.comb += [newcomer.value.eq(self.value), newcomer.index.eq(self.index)]
        newcomer_rank = sum(unbeaten)
        grown = [rank[slot] + beaten[slot] for slot in slots]
        store_above, rank_above = [*store[1:], newcomer], [*grown[1:], newcomer_rank]
        next_store = [Signal(pair, name=f"next_store_{slot}") for slot in slots]
        next_rank = [Signal(range(n), name=f"next_rank_{slot}") for slot in slots]
        for slot in slots:
            with m.If(full & leaves[: slot + 1].any()):
                m.d.comb += [next_store[slot].eq(store_above[slot]), next_rank[slot].eq(rank_above[slot])]
            with m.Elif(leaves[slot]):
                m.d.comb += [next_store[slot].eq(newcomer), next_rank[slot].eq(newcomer_rank)]
            with m.Else():
                m.d.comb += [next_store[slot].eq(store[slot]), next_rank[slot].eq(grown[slot])]

        # A finished group moves out and leaves the store as if never used.
        with m.If(self.take & ~self.ends):
            for slot in slots:
                m.d.sync += [store[slot].eq(next_store[slot]), rank[slot].eq(next_rank[slot])]
        with m.If(self.take & self.ends):
            for slot in slots:
                m.d.sync += [
                    self.kept[slot].eq(next_store[slot]),
                    store[slot].eq(filler[slot]),
                    rank[slot].eq(slot),
                ]
        return m
