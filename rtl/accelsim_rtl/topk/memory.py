"""A memory of lines with one write port and one read port, two cycles from the line's number to its data.

The second cycle is the output register of the block RAM. Without it a block RAM of an ECP5 answers 5.8 ns
after the clock; Yosys does not use it by itself, so for that target the block is instantiated.
"""

from amaranth import Cat, ClockSignal, Const, Elaboratable, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

READ_LATENCY = 2
BLOCK_BITS, BLOCK_LINES = 36, 512


class LineMemory(wiring.Component):
    """`lines` lines of `bits` bits. A line is not read in the cycle in which it is written.

    target "ecp5": block RAMs in their 512 x 36 form; None: a description for simulation and any other tool.
    """

    def __init__(self, *, lines, bits, target=None):
        self.lines, self.bits, self.target = lines, bits, target
        line = (lines - 1).bit_length()
        super().__init__(
            {
                "write_enable": In(1),
                "write_line": In(line),
                "write_bits": In(bits),
                "read_line": In(line),
                "read_bits": Out(bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        if self.target == "ecp5" and self.lines <= BLOCK_LINES:
            for first in range(0, self.bits, BLOCK_BITS):
                m.submodules += self._block(first)
            return m
        m.submodules.memory = memory = Memory(shape=self.bits, depth=self.lines, init=[])
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.en.eq(self.write_enable),
            write.addr.eq(self.write_line),
            write.data.eq(self.write_bits),
            read.en.eq(1),
            read.addr.eq(self.read_line),
        ]
        output = Signal(self.bits, reset_less=True)
        m.d.sync += output.eq(read.data)
        m.d.comb += self.read_bits.eq(output)
        return m

    def _block(self, first) -> Elaboratable:
        """One block RAM for the bits from `first` on."""
        width = min(BLOCK_BITS, self.bits - first)
        written = Cat(self.write_bits[first : first + width], Const(0, BLOCK_BITS - width))
        read = Cat(self.read_bits[first : first + width], Signal(BLOCK_BITS - width))
        write_address = Cat(*[self.write_enable] * 4, Const(0, 1), self.write_line)
        read_address = Cat(Const(0, 5), self.read_line)
        ports = {"i_CLKA": ClockSignal(), "i_CLKB": ClockSignal()}
        for name in ("WEA", "CEA", "CEB", "OCEA", "OCEB"):
            ports[f"i_{name}"] = Const(1, 1)
        for name in ("RSTA", "RSTB", "WEB", *(f"CS{port}{i}" for port in "AB" for i in range(3))):
            ports[f"i_{name}"] = Const(0, 1)
        for i in range(14):
            # Five bits below the line: the lowest four of port A enable the bytes.
            ports[f"i_ADA{i}"] = write_address[i] if i < len(write_address) else Const(0, 1)
            ports[f"i_ADB{i}"] = read_address[i] if i < len(read_address) else Const(0, 1)
        for i in range(BLOCK_BITS):
            half, bit = "AB"[i // 18], i % 18
            ports[f"i_DI{half}{bit}"] = written[i]
            ports[f"o_DO{half}{bit}"] = read[i]
        widths = {f"p_DATA_WIDTH_{port}": BLOCK_BITS for port in "AB"}
        registers = {f"p_REGMODE_{port}": "OUTREG" for port in "AB"}
        return Instance("DP16KD", **widths, **registers, **ports)
