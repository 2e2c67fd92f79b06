"""The lists of kept tokens and heads that software fills."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.spatten.parameters import Machine as Parameters


class Lists(Component):
    """tokens, heads: how many there are. place: of a token, whose position comes at once; head: of a head,
    whose query and stored do. What does not fit is left out."""

    def __init__(self, parameters: Parameters, registers):
        self.parameters, self.registers = parameters, registers
        super().__init__(
            {
                "tokens": Out(parameters.listing.fields["count"].bits),
                "heads": Out(range(parameters.heads + 1)),
                "place": In(parameters.head.selection.topk.index_bits),
                "position": Out(parameters.position_bits),
                "head": In(parameters.place_bits),
                "query": Out(parameters.head_bits),
                "stored": Out(parameters.head_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, registers = self.parameters, self.registers
        for name, count, append, entry, depth, place, shown in (
            (
                "token_list",
                self.tokens,
                registers.token_append,
                registers.token_position,
                parameters.head.keys,
                self.place,
                self.position,
            ),
            (
                "head_list",
                self.heads,
                registers.head_append,
                Cat(registers.head_query, registers.head_stored),
                parameters.heads,
                self.head,
                Cat(self.query, self.stored),
            ),
        ):
            memory = Memory(shape=len(entry), depth=depth, init=[])
            m.submodules[name] = memory
            write, read = memory.write_port(), memory.read_port(domain="comb")
            fits = Signal(name=f"{name}_fits")
            m.d.comb += [
                fits.eq(append & (count != depth)),
                write.en.eq(fits),
                write.addr.eq(count),
                write.data.eq(entry),
                read.addr.eq(place),
                shown.eq(read.data),
            ]
            with m.If(fits):
                m.d.sync += count.eq(count + 1)
            with m.If(registers.control_clear):
                m.d.sync += count.eq(0)
        return m
