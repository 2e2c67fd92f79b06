# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds a store that nobody elaborates.
"""The exponent unit of SpAtten's softmax: lanes of exp(-distance) and a store for what they give."""

from amaranth.hdl import Cat, Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.exponent import Exponent as Parameters
from accelsim.units.promises import store_depth
from accelsim_rtl.exponent_lane import ExponentLane
from accelsim_rtl.promised_store import PromisedStore
from accelsim_rtl.topk.pipeline import delayed


class Exponent(Component):
    """distances: a line of unsigned distances. powers: their exp(-distance). Probe: promised (lines).

    Latency: `latency_cycles` of the parameters and a clock of the store. Throughput: a line a clock. A line
    is taken if all that are under way have room behind the pipeline, whatever the sink does.
    """

    def __init__(self, parameters: Parameters, *, target=None):
        self.parameters, self.target = parameters, target
        powers = data.ArrayLayout(parameters.power_bits, parameters.lanes)
        self.store = PromisedStore(powers, store_depth(parameters.latency_cycles + 1))
        super().__init__(
            {
                "distances": In(
                    stream.Signature(data.ArrayLayout(parameters.distance_bits, parameters.lanes))
                ),
                "powers": Out(stream.Signature(powers)),
                "promised": Out(range(self.store.depth + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = self.store
        powers = []
        for number in range(self.parameters.lanes):
            m.submodules[f"lane_{number}"] = lane = ExponentLane(self.parameters, target=self.target)
            m.d.comb += lane.distance.eq(self.distances.payload[number])
            powers.append(lane.power)
        issued = self.distances.valid & self.distances.ready
        wiring.connect(m, store.given, wiring.flipped(self.powers))
        m.d.comb += [
            self.distances.ready.eq(store.room),
            store.issued.eq(issued),
            store.arrives.eq(delayed(m, issued, self.parameters.latency_cycles, name="arrives", resets=True)),
            store.beat.eq(Cat(powers)),
            self.promised.eq(store.promised),
        ]
        return m
