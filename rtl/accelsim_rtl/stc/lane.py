"""The datapath of a lane: operand selectors, multipliers, a tree of adders, accumulators. No handshake."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from accelsim.golden.floating import FP16, FP32
from accelsim.units.stc.dot_product import DotProduct as Parameters
from accelsim.units.stc.lane import ACCUMULATOR_BITS
from accelsim.units.stc.selector import GROUP
from accelsim_rtl.arithmetic import added
from accelsim_rtl.float import FloatAdder, FloatMultiplier
from accelsim_rtl.stc.codes import picked, split
from accelsim_rtl.topk.pipeline import delayed


class Lane(Component):
    """a, b, codes: the operands of a step. Their products' sum is there `sum_cycles` clocks later, and then:

    adds: it is added to accumulator `place`, or to `start` if `first`; total: the new accumulator,
    `accumulate_cycles` later.
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
        total = (self._floating if parameters.floating else self._integer)(m)
        m.submodules.accumulators = memory = Memory(shape=ACCUMULATOR_BITS, depth=parameters.sums, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        before = Mux(self.first, self.start, read.data)
        latency = parameters.accumulate_cycles
        m.d.comb += [
            read.addr.eq(self.place),
            self.total.eq(self._sum(m, before, total)),
            write.addr.eq(delayed(m, self.place, latency, name="place")),
            write.data.eq(self.total),
            write.en.eq(delayed(m, self.adds, latency, name="adds", resets=True)),
        ]
        return m

    def _sum(self, m, before, total):
        """The new accumulator, `accumulate_cycles` later."""
        if not self.parameters.floating:
            return before + total
        return self._added(m, before, total, name="accumulator")

    def _integer(self, m):
        """The sum of integer products."""
        products = []
        for number, (one, other) in enumerate(zip(self._elements(self.a), self._chosen(), strict=True)):
            factors = []
            for name, value, has_sign in (
                ("a", one, self.parameters.a_signed),
                ("b", other, self.parameters.b_signed),
            ):
                shape = (signed if has_sign else unsigned)(self.parameters.element_bits)
                factor = Signal(shape, name=f"{name}_{number}", reset_less=True)
                m.d.sync += factor.eq(value)
                factors.append(factor)
            exact = factors[0] * factors[1]
            product = Signal(exact.shape(), name=f"product_{number}", reset_less=True)
            m.d.sync += product.eq(exact)
            products.append(product)
        return added(m, products, name="tree")

    def _floating(self, m):
        """The sum of fp16 products, exact in fp32, in fp32: neighbours first."""
        terms = []
        for number, (one, other) in enumerate(zip(self._elements(self.a), self._chosen(), strict=True)):
            m.submodules[f"multiplier_{number}"] = multiplier = FloatMultiplier(
                FP16, FP32, self.parameters.multiplier_latency
            )
            m.d.comb += [
                multiplier.first.eq(delayed(m, one, 1, name=f"a_{number}")),
                multiplier.second.eq(delayed(m, other, 1, name=f"b_{number}")),
            ]
            terms.append(multiplier.result)
        while len(terms) > 1:
            terms = [
                self._added(m, first, second, name=f"tree_{len(terms)}_{number}")
                for number, (first, second) in enumerate(zip(terms[::2], terms[1::2], strict=True))
            ]
        return terms[0]

    def _added(self, m, first, second, *, name):
        """A sum of fp32 numbers."""
        m.submodules[name] = adder = FloatAdder(FP32, self.parameters.adder_latency)
        m.d.comb += [adder.first.eq(first), adder.second.eq(second)]
        return adder.result

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
