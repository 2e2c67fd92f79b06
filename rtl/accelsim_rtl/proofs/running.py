# amaranth: UnusedElaboratable=no
# The registers' values are drawn by the prover, and nobody elaborates their file.
"""The parts of `spatten` while a layer runs: what software has set holds, and streams keep their rule."""

from amaranth.hdl import Assert, Assume, Cat, Module, Mux
from amaranth.lib.wiring import Component, In

from accelsim.units.spatten.gather import STEPS
from accelsim.units.spatten.parameters import BEATS
from accelsim.units.spatten.parameters import Machine as Parameters
from accelsim_rtl.axi.registers import RegisterFile
from accelsim_rtl.proofs.watching import Harness, stays
from accelsim_rtl.spatten.gather import Gather
from accelsim_rtl.spatten.jobs import Jobs, Tokens
from accelsim_rtl.spatten.results import Results
from accelsim_rtl.spatten.rows import Rows
from accelsim_rtl.spatten.values import Requests


class Running(Harness):
    """Around a part that looks at registers, each of which may have any value.

    steady: inputs that hold as registers do. fifos: depths of those within, by name.
    bits: widths of registers of the part that a claim speaks of. Assumed besides: a layer begins when the
    part offers nothing of the last one.
    """

    steady: tuple[str, ...] = ()

    def __init__(self, part: Component, registers: RegisterFile, *, fifos=None, bits=None):
        self.registers = registers
        self.written_by_software = Cat(
            getattr(registers, f"{register.name}_{field.name}")
            for register, field in registers.map.fields()
            if field.access == "rw"
        )
        self.fifos = fifos or {}
        taps = {name: (name, shape) for name, shape in (bits or {}).items()}
        for name, depth in self.fifos.items():
            taps[f"{name}_level"] = (f"{name}.level", range(depth + 1))
            taps |= {f"{name}_{end}": (f"{name}.fifo.{end}", range(depth)) for end in ("produce", "consume")}
        super().__init__(part, drawn={"settings": len(self.written_by_software)}, taps=taps)

    def claim(self, m: Module):
        super().claim(m)
        m.d.comb += self.written_by_software.eq(self.settings)
        m.d.comb += [Assume(stays(m, getattr(self, name))) for name in ("settings", *self.steady)]
        for name, depth in self.fifos.items():
            level, produce, consume = (
                getattr(self, f"{name}_{what}") for what in ("level", "produce", "consume")
            )
            behind = consume + level
            m.d.comb += [
                Assert(level <= depth),
                Assert(consume < depth),
                Assert(produce == Mux(behind < depth, behind, behind - depth)),
            ]
        members = self.dut.signature.members.items()
        offers = [
            getattr(self, name).valid for name, port in members if port.is_signature and port.flow != In
        ]
        if "begins" in self.dut.signature.members:
            m.d.comb += Assume(~self.begins | ~Cat(offers).any())


class RunningGather(Running):
    """A gatherer."""

    steady = ("shift",)

    def __init__(self, parameters: Parameters):
        super().__init__(Gather(parameters), RegisterFile(parameters.map), fifos={"steps": STEPS})


class RunningJobs(Running):
    """The jobs of the fetcher."""

    steady = ("tokens", "heads")

    def __init__(self, parameters: Parameters):
        registers = RegisterFile(parameters.map)
        super().__init__(Jobs(parameters, registers), registers)


class RunningTokens(Running):
    """The tokens of each job. The list answers the same place with the same position."""

    def __init__(self, parameters: Parameters):
        super().__init__(Tokens(parameters), RegisterFile(parameters.map))

    def claim(self, m: Module):
        super().claim(m)
        m.d.comb += Assume(~stays(m, self.place) | stays(m, self.position))


class RunningRows(Running):
    """The rows of the pipeline. Of it is assumed that it keeps rows which it has, sends none again where
    nothing is ignored, and does not keep a flat one before its least significant parts are asked for."""

    steady = ("tokens", "heads")

    def __init__(self, parameters: Parameters):
        registers = RegisterFile(parameters.map)
        super().__init__(
            Rows(parameters, registers),
            registers,
            fifos={"flat": parameters.again.depth},
            bits={"undecided": range(parameters.rows + 1)},
        )

    def claim(self, m: Module):
        super().claim(m)
        m.d.comb += [
            Assume(~self.kept | (self.undecided != 0)),
            Assume(~self.again.valid | (self.registers.score_ignored != 0)),
            Assume(~self.least.valid | (self.undecided != 0)),
            Assert(self.undecided <= self.dut.parameters.rows),
            Assert((self.flat_level == 0) | (self.registers.score_ignored != 0)),
            Assert(~self.least.valid | (self.registers.score_ignored != 0)),
        ]


class RunningRequests(Running):
    """The requests for V. A row is begun only where V is streamed."""

    def __init__(self, parameters: Parameters):
        registers = RegisterFile(parameters.map)
        super().__init__(
            Requests(parameters, registers),
            registers,
            fifos={"waiting": parameters.asked.depth},
            bits={"begun": 1},
        )

    def claim(self, m: Module):
        super().claim(m)
        m.d.comb += Assert(~self.begun | self.registers.layer_streamed)


class RunningResults(Running):
    """What goes back. Assumed: a transfer is answered once, and no beat of memory comes after it is done."""

    steady = ("tokens", "heads")

    def __init__(self, parameters: Parameters):
        registers = RegisterFile(parameters.map)
        super().__init__(
            Results(parameters, registers),
            registers,
            fifos={"transfers": BEATS, "beats": BEATS},
            bits={"owes": 1, "written": 1, "open_transfers": range(parameters.open_transfers + 1)},
        )

    def claim(self, m: Module):
        super().claim(m)
        m.d.comb += [
            Assume(~self.answered | (self.open_transfers != 0)),
            Assume(~self.error | ~self.done.valid),
            Assert(~self.owes | ~self.written),
        ]
