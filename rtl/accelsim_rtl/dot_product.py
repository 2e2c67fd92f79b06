# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds a store that nobody elaborates.
"""SpAtten's QxK: multipliers side by side and one tree of adders, whose sums of several levels can leave."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.dot_product import DotProduct as Parameters
from accelsim.units.promises import store_depth
from accelsim_rtl.arithmetic import product_of
from accelsim_rtl.promised_store import PromisedStore
from accelsim_rtl.topk.pipeline import copies, delayed

PLACES_OF_A_COPY = 8
"""Multipliers that share a register that says which of a query's operands they take."""


class DotProduct(Component):
    """queries: operands, and the level of the tree whose sums are scores: vectors have 2^level operands.

    keys: a line of vectors side by side, `last` for its query. scores: their products, `last`.
    Probe: promised (lines on their way or at the output).
    Latency: `latency_cycles` of the parameters. Throughput: a line a clock; a query costs none. A line is
    taken if all that are under way have room behind the pipeline, whatever the sink does.
    """

    def __init__(self, parameters: Parameters, *, target=None):
        self.parameters, self.target = parameters, target
        scores = scores_layout(parameters)
        self.store = PromisedStore(scores, store_depth(parameters.latency_cycles))
        super().__init__(
            {
                "queries": In(stream.Signature(queries_layout(parameters))),
                "keys": In(stream.Signature(keys_layout(parameters))),
                "scores": Out(stream.Signature(scores)),
                "promised": Out(range(self.store.depth + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, keys = self.parameters, self.keys.payload
        m.submodules.store = store = self.store

        # A query, then its lines of keys.
        there = Signal()
        takes = Signal()
        ends = Signal()
        m.d.comb += [
            self.keys.ready.eq(there & store.room),
            takes.eq(self.keys.valid & self.keys.ready),
            ends.eq(takes & keys.last),
            self.queries.ready.eq(~there | ends),
        ]
        with m.If(self.queries.ready):
            m.d.sync += there.eq(self.queries.valid)

        # Operands come a clock behind what decides about them: no wire leads from there to all of them.
        query = Signal(queries_layout(parameters), reset_less=True)
        line = Signal(keys_layout(parameters), reset_less=True)
        m.d.sync += [query.eq(self.queries.payload), line.eq(keys)]
        level = Signal.like(query.level, reset_less=True)
        levels = self._tree(m, self._products(m, query, level, line))
        latency = parameters.latency_cycles - 1
        wiring.connect(m, store.given, wiring.flipped(self.scores))
        m.d.comb += [
            self.promised.eq(store.promised),
            store.issued.eq(takes),
            store.arrives.eq(delayed(m, takes, latency, name="arrives", resets=True)),
            store.beat.last.eq(delayed(m, keys.last, latency, name="last")),
            store.beat.scores.eq(self._chosen(m, delayed(m, level, latency - 2, name="level"), levels)),
        ]
        return m

    def _products(self, m, query, level, line):
        """Of every multiplier. A vector's operands of the query stand before each of the line's vectors.

        level: of the query that is kept, told here.
        """
        parameters = self.parameters
        shorter = range(parameters.least_level, parameters.levels)
        # When it is kept, and which level it is, once for a few multipliers: one register's wires would be
        # the longest.
        number_of_copies = -(-parameters.multipliers // PLACES_OF_A_COPY)
        keeps = copies(1, number_of_copies, name="keeps")
        groups = copies(len(shorter) or 1, number_of_copies, name="short")
        m.d.sync += [each.eq(self.queries.ready) for each in keeps]
        for keep, short in zip(keeps, groups, strict=True):
            with m.If(keep):
                m.d.sync += short.eq(Cat(query.level == each for each in shorter))
        with m.If(keeps[0]):
            m.d.sync += level.eq(query.level)
        kept = [
            Signal(signed(parameters.operand_bits), name=f"kept_{place}", reset_less=True)
            for place in range(parameters.multipliers)
        ]
        products = []
        for place in range(parameters.multipliers):
            group = place // PLACES_OF_A_COPY
            with m.If(keeps[group]):
                m.d.sync += kept[place].eq(query.operands[place])
            other = kept[place]
            for number, shorter_level in enumerate(shorter):
                other = Mux(groups[group][number], kept[place % (1 << shorter_level)], other)
            operands = []
            for name, value in (("key", line.operands[place]), ("query", other)):
                operand = Signal(signed(parameters.operand_bits), name=f"{name}_{place}", reset_less=True)
                m.d.sync += operand.eq(value)
                operands.append(operand)
            products.append(product_of(m, *operands, name=f"place_{place}", target=self.target))
        return products

    def _tree(self, m, sums):
        """{level: sums of 2^level products}, of the levels that can leave, all at the time of the last."""
        parameters, levels = self.parameters, {}
        for level in range(parameters.levels + 1):
            if level >= parameters.least_level:
                waits = parameters.levels - level
                levels[level] = [
                    delayed(m, each, waits, name=f"level_{level}_{number}")
                    for number, each in enumerate(sums)
                ]
            pairs = []
            for number, (one, other) in enumerate(zip(sums[::2], sums[1::2], strict=False)):
                pair = Signal(signed(len(one) + 1), name=f"sum_{level}_{number}", reset_less=True)
                m.d.sync += pair.eq(one + other)
                pairs.append(pair)
            sums = pairs
        return levels

    def _chosen(self, m, level, levels):
        """The sums of a query's level, in a register; zeros where it has fewer than others."""
        parameters, lanes = self.parameters, []
        for lane in range(parameters.tree_outputs):
            chosen = Const(0, signed(parameters.sum_bits))
            for number, sums in levels.items():
                if lane < len(sums):
                    chosen = Mux(level == number, sums[lane], chosen)
            score = Signal(signed(parameters.sum_bits), name=f"score_{lane}", reset_less=True)
            m.d.sync += score.eq(chosen)
            lanes.append(score)
        return Cat(lanes)


def queries_layout(parameters):
    """A query, and the level of the tree at which its vectors end."""
    return data.StructLayout({"operands": _operands(parameters), "level": parameters.level_bits})


def keys_layout(parameters):
    """A line of keys, and whether it is the last one for its query."""
    return data.StructLayout({"operands": _operands(parameters), "last": 1})


def scores_layout(parameters):
    """A line of scores, and whether it is the last one of its query."""
    scores = data.ArrayLayout(signed(parameters.sum_bits), parameters.tree_outputs)
    return data.StructLayout({"scores": scores, "last": 1})


def _operands(parameters):
    return data.ArrayLayout(signed(parameters.operand_bits), parameters.multipliers)
