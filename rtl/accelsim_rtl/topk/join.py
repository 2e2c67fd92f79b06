"""The join: elements that arrive in some of the lanes leave as full lines, in their order."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accelsim_rtl.topk.pipeline import copies


class Join(wiring.Component):
    """One register a lane holds what does not fill a line yet.

    valid: there is a line, be it empty; only this, first and last are control that a reset clears.
    arrived, wraps: the lanes that bring an element, and those whose element belongs to the line after the one
    that is being filled. full: with these a line is complete. first, last: of a pass; behind its last line
    the `fill` elements that remain are flushed in a line of their own. fill: how many wait after this line.
    line_seen: line_valid for those who look at a line, not for the memory: its wires are long.
    latency: 1 cycle, and one more for the flush.
    """

    def __init__(self, *, width, bits, lines):
        self.width, self.bits = width, bits
        super().__init__(
            {
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                "full": In(1),
                "fill": In((width - 1).bit_length()),
                "arrived": In(width),
                "wraps": In(width),
                "lanes": In(data.ArrayLayout(bits, width)),
                "line_valid": Out(1),
                "line_seen": Out(1),
                "line": Out((lines - 1).bit_length()),
                "line_lanes": Out(data.ArrayLayout(bits, width)),
                "line_count": Out(width.bit_length()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        kept = Signal(data.ArrayLayout(self.bits, self.width), reset_less=True)
        out = Signal(data.ArrayLayout(self.bits, self.width), reset_less=True)
        flush, (valid, seen) = Signal(), copies(1, 2, name="valid", resets=True)
        line = Signal(self.line.shape(), reset_less=True)
        count = Signal(self.line_count.shape(), reset_less=True)

        for lane in range(self.width):
            with m.If(self.arrived[lane]):
                m.d.sync += kept[lane].eq(self.lanes[lane])
            here = self.arrived[lane] & ~self.wraps[lane]
            m.d.sync += out[lane].eq(Mux(here, self.lanes[lane], kept[lane]))

        # In the cycle of the flush no line arrives, so the fill is still that of the last one.
        m.d.sync += [
            flush.eq(self.last & (self.fill != 0)),
            *(one.eq((self.valid & self.full) | flush) for one in (valid, seen)),
            count.eq(Mux(flush, self.fill, self.width)),
        ]
        with m.If(self.first):
            m.d.sync += line.eq(0)
        with m.Elif(seen):
            m.d.sync += line.eq(line + 1)

        m.d.comb += [
            self.line_valid.eq(valid),
            self.line_seen.eq(seen),
            self.line.eq(line),
            self.line_lanes.eq(out),
            self.line_count.eq(count),
        ]
        return m
