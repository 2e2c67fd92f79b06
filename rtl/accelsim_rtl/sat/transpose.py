"""Tiles turned in memories side by side: a row lies across them on a diagonal, and so does a column."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.transpose import Transpose as Parameters


class Transpose(Component):
    """rows: `side` numbers each, `side` of them a tile. columns: the same numbers, element r from row r.

    Probe: tiles (whole ones that are held). Latency: a tile's first column is offered in the clock after its
    last row. Throughput: a row and a column a clock.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        line = data.ArrayLayout(parameters.value_bits, parameters.side)
        super().__init__(
            {
                "rows": In(stream.Signature(line)),
                "columns": Out(stream.Signature(line)),
                "tiles": Out(range(3)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        side = self.parameters.side
        bits = (side - 1).bit_length()

        # The highest bit of a place says which of two tiles.
        entered = Signal(bits + 1)
        left = Signal(bits + 1)
        enters = Signal()
        leaves = Signal()
        m.d.comb += [
            self.rows.ready.eq(self.tiles != 2),
            self.columns.valid.eq(self.tiles != 0),
            enters.eq(self.rows.valid & self.rows.ready),
            leaves.eq(self.columns.valid & self.columns.ready),
        ]
        filled = enters & entered[:bits].all()
        emptied = leaves & left[:bits].all()
        m.d.sync += [
            entered.eq(entered + enters),
            left.eq(left + leaves),
            self.tiles.eq(self.tiles + filled - emptied),
        ]

        # Element c of row r lies in memory c + r, at r; so element r of column j lies in memory j + r, at r.
        rows = [self.rows.payload[place] for place in range(side)]
        row, column = entered[:bits], left[:bits]
        reads = []
        for place, number in enumerate(_rotated(m, rows, (-row)[:bits], "row")):
            m.submodules[f"memory_{place}"] = memory = Memory(
                shape=self.parameters.value_bits, depth=2 * side, init=[]
            )
            write, read = memory.write_port(), memory.read_port(domain="comb")
            m.d.comb += [
                write.en.eq(enters),
                write.addr.eq(entered),
                write.data.eq(number),
                read.addr.eq(Cat((place - column)[:bits], left[-1])),
            ]
            reads.append(read.data)
        m.d.comb += [
            self.columns.payload[place].eq(number)
            for place, number in enumerate(_rotated(m, reads, column, "column"))
        ]
        return m


def _rotated(m, numbers, distance, name):
    """The numbers with the one at `distance` first; in steps of powers of two."""
    for bit in range(len(distance)):
        step = (1 << bit) % len(numbers)
        moved = [Signal(len(number), name=f"{name}_{bit}_{place}") for place, number in enumerate(numbers)]
        for place, wire in enumerate(moved):
            other = numbers[(place + step) % len(numbers)]
            m.d.comb += wire.eq(Mux(distance[bit], other, numbers[place]))
        numbers = moved
    return numbers
