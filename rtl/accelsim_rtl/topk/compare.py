"""The comparator array: every lane of a line against one value."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accelsim_rtl.topk.pipeline import delayed

LANES_OF_A_COPY = 4


class Compare(wiring.Component):
    """Which of `width` unsigned lanes are smaller, and which are larger than `against`.

    latency: `stages` cycles. 1: whole words. 2: the halves of the words first, then their results; and each
    four lanes have a copy of `against`, because its wires would be the longest of all. `load` takes a new
    `against`, which holds for lines from the next cycle on. A lane that is not enabled is neither.
    """

    def __init__(self, *, width, bits, stages):
        if stages not in (1, 2):
            raise ValueError(f"stages must be 1 or 2, not {stages}")
        self.width, self.bits, self.stages = width, bits, stages
        super().__init__(
            {
                "load": In(1),
                "against": In(bits),
                "lanes": In(data.ArrayLayout(bits, width)),
                "enabled": In(width),
                "smaller": Out(width),
                "larger": Out(width),
                "held": Out(bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        copies = []
        for index in range(-(-self.width // LANES_OF_A_COPY)):
            # Equal registers would be made one.
            copy = Signal(self.bits, name=f"against_{index}", attrs={"keep": 1}, reset_less=True)
            with m.If(self.load):
                m.d.sync += copy.eq(self.against)
            copies.append(copy)
        m.d.comb += self.held.eq(copies[0])
        enabled = delayed(m, self.enabled, self.stages - 1, name="enabled")
        smaller, larger = Signal(self.width, reset_less=True), Signal(self.width, reset_less=True)
        for lane in range(self.width):
            mine, copy = self.lanes[lane], copies[lane // LANES_OF_A_COPY]
            if self.stages == 1:
                below, above = mine < copy, mine > copy
            else:
                half = self.bits // 2
                low = self._both(m, mine[:half], copy[:half], f"low_{lane}")
                high = self._both(m, mine[half:], copy[half:], f"high_{lane}")
                below = high[0] | (~high[1] & low[0])
                above = high[1] | (~high[0] & low[1])
            m.d.sync += [smaller[lane].eq(below & enabled[lane]), larger[lane].eq(above & enabled[lane])]
        m.d.comb += [self.smaller.eq(smaller), self.larger.eq(larger)]
        return m

    @staticmethod
    def _both(m, mine, copy, name):
        """Smaller and larger, one cycle later."""
        return delayed(m, Cat(mine < copy, mine > copy), 1, name=name)
