"""Round-robin arbiter of the kit: many streams into one, none of them starved."""

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from accelsim.units.arbiter import Arbiter as Parameters


def granted_layout(parameters):
    """Payload of `granted`: a beat, and the source it came from."""
    return data.StructLayout({"item": parameters.bits, "source": range(parameters.sources)})


class Arbiter(wiring.Component):
    """Streams `request_0`, `request_1`, ... in, `granted` out; probe `grant`: the source that has the output.

    Latency: none for the source with the grant, one clock to hand it on. Throughput: a beat a clock.
    A requester is served after at most one beat of every other source.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        requests = {
            f"request_{source}": In(stream.Signature(parameters.bits)) for source in range(parameters.sources)
        }
        super().__init__(
            requests
            | {
                "granted": Out(stream.Signature(granted_layout(parameters))),
                "grant": Out(range(parameters.sources)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        sources = self.parameters.sources
        requests = [getattr(self, f"request_{source}") for source in range(sources)]

        # The source with the grant is connected through.
        m.d.comb += [
            self.granted.valid.eq(Array(request.valid for request in requests)[self.grant]),
            self.granted.payload.item.eq(Array(request.payload for request in requests)[self.grant]),
            self.granted.payload.source.eq(self.grant),
        ]
        for source, request in enumerate(requests):
            m.d.comb += request.ready.eq((self.grant == source) & self.granted.ready)

        # The next requester behind it gets the grant, unless a beat waits: what is offered must stay.
        following = Signal(range(sources))
        m.d.comb += following.eq(self.grant)
        with m.Switch(self.grant):
            for source in range(sources):
                with m.Case(source):
                    # The nearest one is written last, and stands.
                    for distance in reversed(range(1, sources)):
                        candidate = (source + distance) % sources
                        with m.If(requests[candidate].valid):
                            m.d.comb += following.eq(candidate)
        with m.If(~self.granted.valid | self.granted.ready):
            m.d.sync += self.grant.eq(following)
        return m
