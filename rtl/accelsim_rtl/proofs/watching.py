"""What all proofs share: a harness around a unit, and the stream rule."""

from amaranth.hdl import Assert, Assume, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Component, In


class Harness(Component):
    """A unit with all its ports led outside, so that the prover drives them as it likes.

    It claims the stream rule of every output, and a subclass adds to it in `claim`. Of the surroundings it
    assumes that sources keep the stream rule, and nothing else: sinks may never be ready.
    drawn: further inputs, which the prover draws in every clock. taps: inputs that show a register of the
    unit instead, {input: (name of the register within the unit, shape)}; invariants need them.
    """

    def __init__(self, dut: Component, *, drawn=None, taps=None):
        self.dut = dut
        self.taps = {name: f"dut.{register}" for name, (register, _) in (taps or {}).items()}
        shapes = (drawn or {}) | {name: shape for name, (_, shape) in (taps or {}).items()}
        super().__init__(dict(dut.signature.members) | {name: In(shape) for name, shape in shapes.items()})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = self.dut
        for name, member in self.dut.signature.members.items():
            outside, inside = wiring.flipped(self), self.dut
            if member.flow == In:
                _lead(m, member, getattr(outside, name), getattr(inside, name))
            else:
                _lead(m, member, getattr(inside, name), getattr(outside, name))
            if member.is_signature and member.flow == In:
                m.d.comb += Assume(holds(m, getattr(self, name)))
        self.claim(m)
        return m

    def claim(self, m: Module):
        """Assert what must hold in every clock."""
        for name, member in self.dut.signature.members.items():
            if member.is_signature and member.flow != In:
                m.d.comb += Assert(holds(m, getattr(self, name)))


def holds(m: Module, port: stream.Interface) -> Value:
    """The stream rule: valid stays until ready, and the payload with it. A reset lets go."""
    waits = Signal()
    payload = Value.cast(port.payload)
    before = Signal(payload.shape())
    m.d.sync += [waits.eq(port.valid & ~port.ready), before.eq(payload)]
    return ~waits | (port.valid & (payload == before))


def stays(m: Module, value) -> Value:
    """Whether it is as it was a clock before; before the first clock it may have been anything."""
    value = Value.cast(value)
    before = Signal(value.shape(), reset_less=True)
    m.d.sync += before.eq(value)
    return value == before


def _lead(m: Module, member, source, destination):
    if member.is_signature:
        wiring.connect(m, source, destination)
    else:
        m.d.comb += destination.eq(source)
