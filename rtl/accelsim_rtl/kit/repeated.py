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

    def define(self, name, component):
        """Remember a module. ValueError if another one has its name."""
        known = self.found.setdefault(name, component)
        if known.signature != component.signature:
            raise ValueError(f"a module {name} must have one signature")


class Repeated(wiring.Component):
    """Has the ports of `component`, is it where a design is simulated, and an instance of it in Verilog.

    name: of the module; whoever uses it twice means the same component.
    """

    def __init__(self, name, component):
        self.name, self.component = name, component
        super().__init__(dict(component.signature.members))

    def elaborate(self, platform):
        m = Module()
        if not isinstance(platform, Definitions):
            m.submodules.inner = self.component
            wiring.connect(m, wiring.flipped(self), self.component)
            return m
        platform.define(self.name, self.component)
        wires = {f"{port.direction[0]}_{port.name}": port.value for port in ports(self)}
        m.submodules.inner = Instance(self.name, i_clk=ClockSignal(), i_rst=ResetSignal(), **wires)
        return m
