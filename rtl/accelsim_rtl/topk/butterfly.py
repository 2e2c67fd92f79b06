"""The butterfly: every element to the lane that it names, in log2(width) layers of two-way multiplexers."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accelsim_rtl.topk.pipeline import delayed


class Butterfly(wiring.Component):
    """Element i of the valid ones goes to lane (start + i) mod width, for any start and any gaps before.

    Layer b moves an element between two lanes whose numbers differ in bit b alone, if its destination asks
    for it; with the lowest bit first no two elements ever meet. wants: `wishes` of a valid element, 0 of a
    lane that has none. latency: 2 cycles, one for each half of the layers.
    """

    def __init__(self, *, width, bits):
        self.width, self.bits, self.lane_bits = width, bits, (width - 1).bit_length()
        super().__init__(
            {
                "valid": In(width),
                "wants": In(data.ArrayLayout(2 * self.lane_bits, width)),
                "lanes": In(data.ArrayLayout(bits, width)),
                "arrived": Out(width),
                "routed": Out(data.ArrayLayout(bits, width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # What all layers ask travels with an element, so that a layer costs its controls one look-up table.
        wants = [self.wants[lane] for lane in range(self.width)]
        lanes = [self.lanes[lane] for lane in range(self.width)]
        here = [self.valid[lane] for lane in range(self.width)]
        half = self.lane_bits // 2
        for number, layers in enumerate((range(half), range(half, self.lane_bits))):
            for bit in layers:
                wants, lanes, here = self._layer(m, bit, wants, lanes)
            wants, lanes, here = (
                [delayed(m, value, 1, name=f"{name}_{number}_{lane}") for lane, value in enumerate(values)]
                for name, values in (("wants", wants), ("routed", lanes), ("here", here))
            )
        m.d.comb += self.arrived.eq(Cat(here))
        for lane in range(self.width):
            m.d.comb += self.routed[lane].eq(lanes[lane])
        return m

    def _layer(self, m, bit, wants, lanes):
        """What the layer of a bit hands on: what later ones are asked, the elements, which lanes have one."""
        layer = []
        for lane in range(self.width):
            partner, side = lane ^ (1 << bit), (lane >> bit) & 1
            stays, comes = wants[lane][side], wants[partner][side]
            left = len(wants[lane]) - 2
            moved = Signal(self.bits, name=f"moved_{bit}_{lane}")
            want = Signal(left, name=f"want_{bit}_{lane}")
            m.d.comb += [
                moved.eq(Mux(stays, lanes[lane], lanes[partner])),
                want.eq(
                    (stays.replicate(left) & wants[lane][2:]) | (comes.replicate(left) & wants[partner][2:])
                ),
            ]
            layer.append((want, moved, stays | comes))
        return zip(*layer, strict=True)


def wishes(destination):
    """What an element for this lane asks of the layers: two bits each, does it want a 0, does it want a 1?"""
    return Cat(bit == side for bit in destination for side in range(2))
