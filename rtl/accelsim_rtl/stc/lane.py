"""The datapath of a lane: operand selectors, multipliers, a tree of adders, accumulators. No handshake."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.stc.dot_product import DotProduct as Parameters
from accelsim.units.stc.lane import ACCUMULATOR_BITS
from accelsim.units.stc.selector import GROUP
from accelsim_rtl.arithmetic import added
from accelsim_rtl.stc.codes import picked, split


class Lane(Component):
    """a, b, codes: the operands of a step. Their products' sum is there `sum_cycles` clocks later, and then:

    adds: it is added to accumulator `place`, or to `start` if `first`; total: the new accumulator, at once.
    Dense elements of B stand at positions 0 and 1 of the groups, with the code of these.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        bits = parameters.element_bits
        codes = {"codes": In(4 * parameters.groups)} if parameters.sparse else {}
        super().__init__(
            {
                "a": In(parameters.multipliers * bits),
                "b": In(parameters.b_elements * bits),
                **codes,
                "adds": In(1),
                "place": In(range(parameters.sums)),
                "first": In(1),
                "start": In(ACCUMULATOR_BITS),
                "total": Out(ACCUMULATOR_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters = self.parameters
        products = []
        for number, (one, other) in enumerate(zip(self._elements(self.a), self._chosen(), strict=True)):
            factors = []
            for name, value, has_sign in (
                ("a", one, parameters.a_signed),
                ("b", other, parameters.b_signed),
            ):
                shape = (signed if has_sign else unsigned)(parameters.element_bits)
                factor = Signal(shape, name=f"{name}_{number}", reset_less=True)
                m.d.sync += factor.eq(value)
                factors.append(factor)
            exact = factors[0] * factors[1]
            product = Signal(exact.shape(), name=f"product_{number}", reset_less=True)
            m.d.sync += product.eq(exact)
            products.append(product)
        total = added(m, products, name="tree")

        m.submodules.accumulators = memory = Memory(shape=ACCUMULATOR_BITS, depth=parameters.sums, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [
            read.addr.eq(self.place),
            self.total.eq(Mux(self.first, self.start, read.data) + total),
            write.addr.eq(self.place),
            write.data.eq(self.total),
            write.en.eq(self.adds),
        ]
        return m

    def _chosen(self):
        """Elements of B for the multipliers."""
        elements = self._elements(self.b)
        if not self.parameters.sparse:
            return elements
        groups = [elements[place : place + GROUP] for place in range(0, len(elements), GROUP)]
        return [
            element
            for code, group in zip(split(self.codes), groups, strict=True)
            for element in picked(code, group, self.parameters.codes)
        ]

    def _elements(self, word):
        bits = self.parameters.element_bits
        return [word[place : place + bits] for place in range(0, len(word), bits)]
