# amaranth: UnusedElaboratable=no
"""A small register file with a field of every kind, whose hardware's side is a stream of events."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.register_bench import EVENT_BITS
from accelsim.units.register_bench import RegisterBench as Parameters
from accelsim.units.registers import signal_of
from accelsim_rtl.axi.registers import RegisterFile, connect_slave, slave_channels


class RegisterBench(Component):
    """s_axil_aw, _w, _b, _ar, _r: the bus. events: counted, and the last one shown; never waits.

    Probes: every field that software writes. Latency: a clock. Throughput: a write and a read a clock.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        written = [
            (signal_of(register, field), field)
            for register, field in parameters.map.fields()
            if field.access in ("rw", "pulse")
        ]
        self.written = [name for name, _ in written]
        super().__init__(
            slave_channels(parameters.map.address_bits)
            | {"events": In(stream.Signature(EVENT_BITS))}
            | {name: Out(field.bits) for name, field in written}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.registers = registers = RegisterFile(self.parameters.map)
        connect_slave(m, self, registers)
        event = Signal(EVENT_BITS)
        with m.If(self.events.valid):
            m.d.sync += event.eq(self.events.payload)
        m.d.comb += [
            self.events.ready.eq(1),
            registers.status_event.eq(event),
            registers.events_count.eq(self.events.valid),
        ]
        m.d.comb += [getattr(self, name).eq(getattr(registers, name)) for name in self.written]
        return m
