"""A bit-width converter takes as many beats for a record as its request says, and has room for them."""

from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal

from accelsim_rtl.bit_width_converter import BitWidthConverter
from accelsim_rtl.proofs.watching import Harness


class ConverterBeats(Harness):
    """Around a converter whose requests are of widths that it knows. Taps: the request in work."""

    def __init__(self, converter: BitWidthConverter):
        parameters = converter.parameters
        self.lines = {
            width: parameters.lanes * width // parameters.granule_bits for width in parameters.widths
        }
        fields = converter.request.payload.shape()
        super().__init__(
            converter,
            taps={
                "work": ("work", fields),
                "beats_left": ("beats_left", fields["beats"].shape),
                "line": ("line", range(max(self.lines.values()) + 1)),
                "chosen": ("chosen", len(self.lines)),
                "ends": ("ends", 1),
            },
        )

    def claim(self, m: Module):
        super().claim(m)
        parameters = self.dut.parameters
        request, in_beat = self.request.payload, parameters.beat_bits // parameters.granule_bits
        known = Cat(request.width == width for width in self.lines).any()
        m.d.comb += Assume(~self.request.valid | (known & (request.beats != 0)))

        # Beats of the record in work; its last line leaves when all have come.
        taken = Signal.like(self.beats_left)
        takes = self.beats.valid & self.beats.ready
        m.d.sync += taken.eq(Mux(self.ends | ~self.busy, 0, taken) + takes)
        with m.If(self.ends):
            m.d.comb += Assert(taken == self.work.beats)

        # Invariants of the request, and room for a beat.
        m.d.comb += Assert(self.busy | ((self.held == 0) & (taken == 0)))
        with m.If(self.busy):
            expected = sum(
                Mux(self.work.width == width, granules, 0) for width, granules in self.lines.items()
            )
            m.d.comb += [
                Assert(self.chosen == Cat(self.work.width == width for width in self.lines)),
                Assert(self.line == expected),
                Assert(self.line != 0),
                Assert(self.work.beats != 0),
                Assert(taken + self.beats_left == self.work.beats),
                Assert(self.held < self.line + in_beat),
                Assert(self.held <= parameters.buffer_granules),
            ]
