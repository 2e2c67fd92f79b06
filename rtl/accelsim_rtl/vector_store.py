"""SpAtten's K store, or V store: banks of block RAM in two halves, a line of all banks a clock."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.vector_store import VectorStore as Parameters


class VectorStore(Component):
    """fills: how many pieces come, into the free half or, `least`, as lower bits of the one that is read.

    pieces: operands, bank after bank. reads: how many pieces of the older half, when it is there; whether
    with their `least` significant parts; whether that `releases` it; the `first` line. lines: operands of all
    banks, `last`.
    Probes: claimed, filled, refined. Throughput: a piece and a line a clock. Latency: a clock to a line.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        super().__init__(
            {
                "fills": In(stream.Signature(fills_layout(parameters))),
                "pieces": In(stream.Signature(piece_layout(parameters))),
                "reads": In(stream.Signature(reads_layout(parameters))),
                "lines": Out(stream.Signature(lines_layout(parameters))),
                "claimed": Out(range(3)),
                "filled": Out(range(3)),
                "refined": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters = self.parameters
        banks = parameters.banks
        write_half = Signal()
        read_half = Signal()

        # A fill, then its pieces: the lowest bits of a piece's number are its bank.
        filling = Signal()
        fill = Signal(fills_layout(parameters), reset_less=True)
        written = Signal(range(parameters.pieces + 1), reset_less=True)
        writes = Signal()
        fills = Signal()
        takes = Signal()
        wanted = self.fills.payload
        m.d.comb += [
            self.pieces.ready.eq(filling),
            writes.eq(filling & self.pieces.valid),
            fills.eq(writes & (written + 1 == fill.pieces)),
            self.fills.ready.eq(
                (~filling | fills) & self.fills.valid & Mux(wanted.least, self.filled != 0, self.claimed != 2)
            ),
            takes.eq(self.fills.ready),
        ]
        with m.If(takes):
            m.d.sync += [filling.eq(1), fill.eq(wanted), written.eq(0)]
        with m.Else():
            m.d.sync += written.eq(written + writes)
            with m.If(fills):
                m.d.sync += filling.eq(0)

        # A read, then its lines.
        reading = Signal()
        read = Signal(reads_layout(parameters), reset_less=True)
        line = Signal(range(parameters.lines), reset_less=True)
        issues = Signal()
        there = Signal()
        nothing = Signal()
        last = Signal()
        ends = Signal()
        m.d.comb += [
            there.eq(reading & (self.filled != 0) & (~read.least | self.refined)),
            nothing.eq(read.pieces == 0),
            last.eq(read.pieces <= banks),
            issues.eq(there & ~nothing & (~self.lines.valid | self.lines.ready)),
            ends.eq((issues & last) | (there & nothing)),
            self.reads.ready.eq(~reading | ends),
        ]
        with m.If(self.reads.ready):
            m.d.sync += [
                reading.eq(self.reads.valid),
                read.eq(self.reads.payload),
                line.eq(self.reads.payload.first),
            ]
        with m.Elif(issues):
            m.d.sync += [read.pieces.eq(read.pieces - banks), line.eq(line + 1)]
        kept = Signal(banks, reset_less=True)
        with m.If(issues):
            m.d.sync += [
                self.lines.valid.eq(1),
                self.lines.payload.last.eq(last),
                kept.eq(Cat(bank < read.pieces for bank in range(banks))),
            ]
        with m.Elif(self.lines.ready):
            m.d.sync += self.lines.valid.eq(0)

        # Halves.
        first = Signal()
        second = Signal()
        releases = Signal()
        m.d.comb += [
            first.eq(fills & ~fill.least),
            second.eq(fills & fill.least),
            releases.eq(ends & read.releases),
        ]
        m.d.sync += [
            self.claimed.eq(self.claimed + (takes & ~wanted.least) - releases),
            self.filled.eq(self.filled + first - releases),
            self.refined.eq((self.refined | second) & ~releases),
            write_half.eq(write_half ^ first),
            read_half.eq(read_half ^ releases),
        ]

        # Banks: upper bits and lower ones apart.
        bank_bits = (banks - 1).bit_length()
        row = Cat(written[bank_bits : bank_bits + len(line)], Mux(fill.least, read_half, write_half))
        for bank in range(banks):
            here = writes & ((written[:bank_bits] == bank) if bank_bits else 1)
            low, high = parameters.lsb_bits, parameters.operand_bits - parameters.lsb_bits
            for name, first_bit, bits, enable in (
                ("lower", 0, low, here),
                ("upper", low, high, here & ~fill.least),
            ):
                memory = Memory(shape=parameters.lanes * bits, depth=2 * parameters.lines, init=[])
                m.submodules[f"{name}_{bank}"] = memory
                write, port = memory.write_port(), memory.read_port()
                operands = [
                    self.pieces.payload.operands[lane][first_bit : first_bit + bits]
                    for lane in range(parameters.lanes)
                ]
                m.d.comb += [
                    write.en.eq(enable),
                    write.addr.eq(row),
                    write.data.eq(Cat(operands)),
                    port.en.eq(issues),
                    port.addr.eq(Cat(line, read_half)),
                ]
                for lane in range(parameters.lanes):
                    word = port.data[lane * bits : (lane + 1) * bits] & kept[bank].replicate(bits)
                    place = bank * parameters.lanes + lane
                    m.d.comb += self.lines.payload.operands[place][first_bit : first_bit + bits].eq(word)
        return m


def piece_layout(parameters):
    """Operands of one bank."""
    return data.StructLayout({"operands": data.ArrayLayout(parameters.operand_bits, parameters.lanes)})


def fills_layout(parameters):
    """How many pieces come, and whether they are least significant parts."""
    return data.StructLayout({"pieces": parameters.count_bits, "least": 1})


def reads_layout(parameters):
    """How many pieces are read, whether with least significant parts, whether the half is free then, and the
    first line."""
    return data.StructLayout(
        {"pieces": parameters.count_bits, "least": 1, "releases": 1, "first": parameters.line_bits}
    )


def lines_layout(parameters):
    """Operands of all banks, and whether the line is the last of its read."""
    operands = data.ArrayLayout(parameters.operand_bits, parameters.banks * parameters.lanes)
    return data.StructLayout({"operands": operands, "last": 1})
