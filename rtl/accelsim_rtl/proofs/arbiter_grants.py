"""A round-robin arbiter serves every requester within as many beats as there are sources.

Which source is watched is drawn, and drawn anew whenever it does not request.
"""

from amaranth.hdl import Array, Assert, Module, Mux, Signal

from accelsim_rtl.arbiter import Arbiter
from accelsim_rtl.proofs.watching import Harness


class ArbiterGrants(Harness):
    """Around an arbiter."""

    def __init__(self, arbiter: Arbiter):
        super().__init__(arbiter, drawn={"drawn": range(arbiter.parameters.sources)})

    def claim(self, m: Module):
        super().claim(m)
        sources = self.dut.parameters.sources
        requests = [getattr(self, f"request_{source}") for source in range(sources)]

        # Every beat comes from the source that it names, and no other source believes to have given one.
        m.d.comb += Assert(self.grant < sources)
        for source, request in enumerate(requests):
            gave = request.valid & request.ready
            granted = self.granted.valid & self.granted.ready & (self.granted.payload.source == source)
            m.d.comb += Assert(gave == granted)
            with m.If(gave):
                m.d.comb += Assert(self.granted.payload.item == request.payload)

        # Clocks in which a watched request did not advance although the output did not wait.
        watched = Signal(range(sources))
        waits = Signal()
        m.d.comb += waits.eq(
            (watched < sources) & Array(request.valid & ~request.ready for request in requests)[watched]
        )
        with m.If(~waits):
            m.d.sync += watched.eq(self.drawn)
        passed = Signal(range(sources + 1))
        with m.If(~waits):
            m.d.sync += passed.eq(0)
        with m.Elif(~self.granted.valid | self.granted.ready):
            m.d.sync += passed.eq(passed + 1)

        # Invariant: each of them brings the grant nearer.
        distance = Mux(watched >= self.grant, watched - self.grant, watched + sources - self.grant)
        with m.If(waits):
            m.d.comb += Assert(passed + distance < sources)
