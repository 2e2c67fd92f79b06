# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds parts that nobody elaborates.
"""A lane by itself: steps of dot products that take turns, and their sums."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Component, In, Out

from accelsim.golden.two_four import BITS_OF_A_CODE
from accelsim.units.promises import store_depth
from accelsim.units.stc.dot_product import DotProduct as Parameters
from accelsim.units.stc.lane import ACCUMULATOR_BITS, DENSE_CODE
from accelsim.units.stc.selector import KEPT
from accelsim_rtl.promised_store import PromisedStore
from accelsim_rtl.stc.lane import Lane
from accelsim_rtl.topk.pipeline import delayed


class DotProduct(Component):
    """steps: elements of A and B, codes; `first` and `last` of its sum. sums: the finished ones.

    Probes: place (whose turn it is), promised (sums behind their last step). Latency: `latency_cycles` of
    the parameters. Throughput: a step a clock; one that ends a sum is taken if the sum has room.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        self.store = PromisedStore(ACCUMULATOR_BITS, store_depth(parameters.latency_cycles))
        super().__init__(
            {
                "steps": In(stream.Signature(steps_layout(parameters))),
                "sums": Out(stream.Signature(ACCUMULATOR_BITS)),
                "place": Out(range(max(2, parameters.sums))),
                "promised": Out(range(self.store.depth + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, step = self.parameters, self.steps.payload
        m.submodules.store = store = self.store
        m.submodules.lane = lane = Lane(parameters)

        takes = Signal()
        m.d.comb += [
            self.steps.ready.eq(store.room | ~step.last),
            takes.eq(self.steps.valid & self.steps.ready),
            self.promised.eq(store.promised),
        ]
        with m.If(takes):
            m.d.sync += self.place.eq(Mux(self.place == parameters.sums - 1, 0, self.place + 1))

        m.d.comb += [lane.a.eq(step.a), lane.b.eq(step.b)]
        if parameters.sparse:
            m.d.comb += [
                lane.codes.eq(Mux(step.dense, dense_codes(parameters), step.codes)),
                lane.b.eq(Mux(step.dense, spread(parameters, step.b), step.b)),
            ]

        # What concerns the sum waits until the products are added.
        latency = parameters.sum_cycles(parameters.multipliers)
        wiring.connect(m, store.given, wiring.flipped(self.sums))
        m.d.comb += [
            lane.adds.eq(delayed(m, takes, latency, name="adds", resets=True)),
            lane.place.eq(delayed(m, self.place, latency, name="place")),
            lane.first.eq(delayed(m, step.first, latency, name="first")),
            lane.start.eq(delayed(m, step.start, latency, name="start")),
            store.issued.eq(takes & step.last),
            store.arrives.eq(
                delayed(m, takes & step.last, parameters.latency_cycles - 1, name="arrives", resets=True)
            ),
            store.beat.eq(lane.total),
        ]
        return m


def dense_codes(parameters):
    """Codes that steer all multiplexers to positions 0 and 1."""
    return Cat(Const(DENSE_CODE, BITS_OF_A_CODE) for _ in range(parameters.groups))


def spread(parameters, elements):
    """Dense elements of B, KEPT of them in every group, the first at its first position."""
    width = KEPT * parameters.element_bits
    halves = [Value.cast(elements)[place * width :][:width] for place in range(parameters.groups)]
    return Cat(Cat(half, Const(0, width)) for half in halves)


def steps_layout(parameters):
    """Elements of A and B; codes, and whether the step is dense; the sum's begin and end."""
    bits = parameters.element_bits
    codes = {"codes": BITS_OF_A_CODE * parameters.groups, "dense": 1} if parameters.sparse else {}
    return data.StructLayout(
        {
            "a": data.ArrayLayout(bits, parameters.multipliers),
            "b": data.ArrayLayout(bits, parameters.b_elements),
            **codes,
            "start": ACCUMULATOR_BITS,
            "first": 1,
            "last": 1,
        }
    )
