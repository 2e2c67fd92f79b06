"""A tile that leaves is not written over: what a column shows stays until it is taken."""

from amaranth.hdl import Assert, Module

from accelsim_rtl.proofs.watching import Harness
from accelsim_rtl.sat.transpose import Transpose


class TransposeTiles(Harness):
    """Around a transposing tile. Taps: where the next row goes, and where the column comes from."""

    def __init__(self, unit: Transpose):
        places = range(2 * unit.parameters.side)
        super().__init__(unit, taps={"entered": ("entered", places), "left": ("left", places)})

    def claim(self, m: Module):
        super().claim(m)
        row, column = self.entered[:-1], self.left[:-1]
        m.d.comb += [
            Assert(self.tiles <= 2),
            # One fills where the other does not leave.
            Assert((self.entered[-1] ^ self.left[-1]) == self.tiles[0]),
            Assert((self.tiles != 2) | (row == 0)),
            Assert((self.tiles != 0) | (column == 0)),
        ]
