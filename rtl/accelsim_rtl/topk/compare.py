"""The comparator array: every lane of a line against one value."""

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accelsim_rtl.topk.pipeline import LANES_OF_A_COPY, copies, delayed


class Compare(wiring.Component):
    """Which of `width` unsigned lanes are smaller, and which are larger than `against`.

    latency: `stages` cycles. 1: whole words. 2: four bits each first, then their results; and each
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
        held = copies(self.bits, -(-self.width // LANES_OF_A_COPY), name="against")
        with m.If(self.load):
            m.d.sync += [copy.eq(self.against) for copy in held]
        m.d.comb += self.held.eq(held[0])
        enabled = delayed(m, self.enabled, self.stages - 1, name="enabled")
        smaller, larger = Signal(self.width, reset_less=True), Signal(self.width, reset_less=True)
        for lane in range(self.width):
            mine, copy = self.lanes[lane], held[lane // LANES_OF_A_COPY]
            parts = self._named(
                m,
                f"pairs_{lane}",
                [
                    self._both(mine[first : first + 2], copy[first : first + 2])
                    for first in range(0, self.bits, 2)
                ],
            )
            if self.stages == 2:
                parts = [
                    delayed(m, part, 1, name=f"part_{lane}_{index}")
                    for index, part in enumerate(self._halved(parts))
                ]
            while len(parts) > 1:
                parts = self._named(m, f"of_{len(parts)}_{lane}", self._halved(parts))
            below, above = parts[0]
            m.d.sync += [smaller[lane].eq(below & enabled[lane]), larger[lane].eq(above & enabled[lane])]
        m.d.comb += [self.smaller.eq(smaller), self.larger.eq(larger)]
        return m

    @staticmethod
    def _named(m, name, parts):
        """The same as signals: what stands in an expression several times is written out as often."""
        signals = [Signal(2, name=f"{name}_{index}") for index in range(len(parts))]
        m.d.comb += [signal.eq(part) for signal, part in zip(signals, parts, strict=True)]
        return signals

    @staticmethod
    def _both(mine, copy):
        """Of two bits: smaller, larger. A look-up table each, where `<` would be a chain of carries."""
        below, above = Const(0, 1), Const(0, 1)
        for left, right in zip(mine, copy, strict=True):
            below, above = (
                (~left & right) | (below & ~(left ^ right)),
                (left & ~right) | (above & ~(left ^ right)),
            )
        return Cat(below, above)

    @staticmethod
    def _halved(parts):
        """Two neighbours made one: the upper one's word counts, if it has one."""
        pairs = [parts[first : first + 2] for first in range(0, len(parts), 2)]
        return [
            Cat(pair[1][0] | (~pair[1][1] & pair[0][0]), pair[1][1] | (~pair[1][0] & pair[0][1]))
            if len(pair) == 2
            else pair[0]
            for pair in pairs
        ]
