"""A component that a design holds many times: one module in its Verilog, the component itself in Amaranth.

Amaranth makes text of every instance anew, which for an array of a thousand elements takes minutes.
"""

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal
from amaranth.lib import wiring

from accelsim_rtl.kit.ports import ports


class Definitions:
    """The platform on which text is made: modules that were asked for, by their names."""

    def __init__(self):
        self.found = {}

    def define(self, name, make):
        """Remember a module and what makes it; whoever uses a name twice means the same."""
        if name not in self.found:
            self.found[name] = make()


class Repeated(wiring.Component):
    """Has `members`: a component of `make` where a design is simulated, an instance of it in Verilog.

    name: of the module.
    """

    def __init__(self, name, members, make):
        self.name, self.make = name, make
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        if not isinstance(platform, Definitions):
            m.submodules.inner = inner = self.make()
            wiring.connect(m, wiring.flipped(self), inner)
            return m
        platform.define(self.name, self.make)
        wires = {f"{port.direction[0]}_{port.name}": port.value for port in ports(self)}
        m.submodules.inner = Instance(self.name, i_clk=ClockSignal(), i_rst=ResetSignal(), **wires)
        return m
