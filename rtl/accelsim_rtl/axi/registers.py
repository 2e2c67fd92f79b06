"""Registers behind an AXI4-Lite port, made from their description."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.axi import RESPONSE_BITS
from accelsim.units.registers import SLAVE_ERROR, WORD_BITS, WORD_BYTES, RegisterMap, signal_of


def slave_channels(address_bits: int, name: str = "s_axil"):
    """Members of a slave with a port of this name."""
    address = stream.Signature(data.StructLayout({"addr": address_bits}))
    read = data.StructLayout({"data": WORD_BITS, "resp": RESPONSE_BITS})
    write = data.StructLayout({"data": WORD_BITS, "strb": WORD_BYTES})
    return {
        f"{name}_aw": In(address),
        f"{name}_w": In(stream.Signature(write)),
        f"{name}_b": Out(stream.Signature(data.StructLayout({"resp": RESPONSE_BITS}))),
        f"{name}_ar": In(address),
        f"{name}_r": Out(stream.Signature(read)),
    }


def connect_slave(m, outer, registers, name: str = "s_axil"):
    """Lead the bus of a register file to the ports of the component around it."""
    for member in slave_channels(registers.map.address_bits, name):
        outside, inside = wiring.flipped(getattr(outer, member)), getattr(registers, member)
        wiring.connect(m, outside, inside)


class RegisterFile(Component):
    """The registers of a map. s_axil_aw, _w, _b, _ar, _r: the bus.

    Of each field a port REGISTER_FIELD: of one that is rw its value, of a pulse whether it is high, both out;
    of one that is ro its value, of a counter whether it goes up in this clock, both in. Throughput: a write
    and a read a clock; latency: a clock. What is beyond the last word is answered with an error.
    """

    def __init__(self, registers: RegisterMap):
        self.map = registers
        super().__init__(
            slave_channels(registers.address_bits)
            | {
                signal_of(register, field): {
                    "rw": Out(field.bits, init=field.reset),
                    "pulse": Out(field.bits),
                    "ro": In(field.bits),
                    "counter": In(1),
                }[field.access]
                for register, field in registers.fields()
            }
        )

    def elaborate(self, platform):
        m = Module()
        words, write = self.map.words, self.s_axil_w.payload
        counts = {}
        for register, field in self.map.fields():
            signal = signal_of(register, field)
            if field.access == "counter":
                counts[signal] = count = Signal(field.bits, name=f"{signal}_count")
                m.d.sync += count.eq(count + getattr(self, signal))

        # A write is taken with its data, and answered in the next clock.
        takes = Signal()
        wanted = Signal(range(max(2, 1 << self.map.address_bits - 2)))
        m.d.comb += [
            takes.eq(
                self.s_axil_aw.valid & self.s_axil_w.valid & (~self.s_axil_b.valid | self.s_axil_b.ready)
            ),
            self.s_axil_aw.ready.eq(takes),
            self.s_axil_w.ready.eq(takes),
            wanted.eq(self.s_axil_aw.payload.addr[2:]),
        ]
        with m.If(takes):
            m.d.sync += [
                self.s_axil_b.valid.eq(1),
                self.s_axil_b.payload.resp.eq((wanted >= len(words)) * SLAVE_ERROR),
            ]
        with m.Elif(self.s_axil_b.ready):
            m.d.sync += self.s_axil_b.valid.eq(0)
        mask = Cat(strobe.replicate(8) for strobe in write.strb)
        for number, parts in enumerate(words):
            for part in parts:
                if part.field.access == "ro":
                    continue
                here = takes & (wanted == number)
                value, bits = write.data[part.place :][: part.bits], mask[part.place :][: part.bits]
                port = getattr(self, part.signal)
                if part.field.access == "counter":
                    with m.If(here):
                        m.d.sync += counts[part.signal].eq(0)
                    continue
                target = port[part.first : part.first + part.bits]
                if part.field.access == "pulse":
                    m.d.sync += target.eq(value & bits & here.replicate(part.bits))
                else:
                    with m.If(here):
                        m.d.sync += target.eq(target & ~bits | value & bits)

        # A read sees the registers in the clock of its address.
        asked = Signal(len(wanted))
        m.d.comb += [
            self.s_axil_ar.ready.eq(~self.s_axil_r.valid | self.s_axil_r.ready),
            asked.eq(self.s_axil_ar.payload.addr[2:]),
        ]
        with m.If(self.s_axil_ar.ready):
            m.d.sync += [
                self.s_axil_r.valid.eq(self.s_axil_ar.valid),
                self.s_axil_r.payload.resp.eq((asked >= len(words)) * SLAVE_ERROR),
                self.s_axil_r.payload.data.eq(0),
            ]
            with m.Switch(asked):
                for number, parts in enumerate(words):
                    with m.Case(number):
                        m.d.sync += self.s_axil_r.payload.data.eq(self._word(parts, counts))
        return m

    def _word(self, parts, counts):
        """What a word reads as."""
        bits = []
        for part in parts:
            value = counts.get(part.signal, getattr(self, part.signal))[part.first : part.first + part.bits]
            bits.append(value if part.field.access != "pulse" else value & 0)
        return Cat(bits)
