"""Sums that travel and sums that drain never meet in the array's store, and room is promised to both."""

from amaranth.hdl import Assert, Module

from accelsim_rtl.proofs.promised_lines import PromisedLines
from accelsim_rtl.sat.array import SatArray


class ArraySums(PromisedLines):
    """Around an array through which a sum travels in one clock. Tap: whether sums drain."""

    def __init__(self, unit: SatArray):
        super().__init__(
            unit, unit.store, moving="arrives", stages=1, further={"draining": ("sequencer.draining", 1)}
        )

    def claim(self, m: Module):
        super().claim(m)
        m.d.comb += Assert(~(self.draining & self.moving_1))
