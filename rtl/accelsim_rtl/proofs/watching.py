"""What the harnesses share: they stand around a unit with its own ports, and watch its streams."""

from amaranth import Module, Signal, Value
from amaranth.hdl import Assert, Assume
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Component, In

__all__ = ["Harness", "holds"]


class Harness(Component):
    """A unit as `dut` with all its ports led outside, so that the prover drives them as it likes.

    Sources keep the stream rule: what a proof assumes of the unit's surroundings, and all that it assumes.
    `free`: further inputs of the harness, which a proof draws or taps.
    """

    def __init__(self, dut: Component, **free):
        self.dut = dut
        members = dict(dut.signature.members)
        super().__init__({**members, **{name: In(shape) for name, shape in free.items()}})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = self.dut
        for name, member in self.dut.signature.members.items():
            ours, theirs = getattr(self, name), getattr(self.dut, name)
            if member.is_signature:
                wiring.connect(m, wiring.flipped(ours) if member.flow == In else theirs, theirs if member.flow == In else wiring.flipped(ours))
                if member.flow == In:
                    m.d.comb += Assume(holds(m, ours))
            elif member.flow == In:
                m.d.comb += theirs.eq(ours)
            else:
                m.d.comb += ours.eq(theirs)
        self.claim(m)
        return m

    def claim(self, m):
        """What must always hold: the stream rule on every output, and what a subclass adds."""
        for name, member in self.dut.signature.members.items():
            if member.is_signature and member.flow != In:
                m.d.comb += Assert(holds(m, getattr(self, name)))


def holds(m: Module, port: stream.Interface) -> Value:
    """The stream rule: valid stays until ready, and the payload with it. Reset lets go."""
    waits = Signal()
    payload = Value.cast(port.payload)
    before = Signal(payload.shape())
    m.d.sync += [waits.eq(port.valid & ~port.ready), before.eq(payload)]
    return ~waits | (port.valid & (payload == before))
