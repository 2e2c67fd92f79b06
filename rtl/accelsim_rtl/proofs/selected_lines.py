"""Local V: what the last buffer offers stays, because nothing is written where it is read."""

from amaranth.hdl import Assert, Module

from accelsim.units.value_selection import BUFFERED
from accelsim_rtl.proofs.watching import Harness
from accelsim_rtl.value_selection import ValueSelection


class SelectedLines(Harness):
    """Around the selection. Taps: the pointers of its last buffer."""

    def __init__(self, unit: ValueSelection):
        taps = {name: (f"lines.fifo.{name}", range(BUFFERED)) for name in ("produce", "consume")}
        super().__init__(unit, taps=taps | {"held": ("lines.fifo.level", range(BUFFERED + 1))})

    def claim(self, m: Module):
        super().claim(m)
        m.d.comb += [
            Assert(self.held <= BUFFERED),
            Assert(self.produce == (self.consume + self.held) % BUFFERED),
        ]
