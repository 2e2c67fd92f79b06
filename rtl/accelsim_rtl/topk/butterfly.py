"""The butterfly: every element to the lane that it names, in log2(width) layers of two-way multiplexers."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class Butterfly(wiring.Component):
    """Element i of the valid ones goes to lane (start + i) mod width, for any start and any gaps before.

    Layer b moves an element between two lanes whose numbers differ in bit b alone, if its destination asks
    for it; with the lowest bit first no two elements ever meet. latency: 1 cycle.
    """

    def __init__(self, *, width, bits):
        self.width, self.bits, self.lane_bits = width, bits, (width - 1).bit_length()
        super().__init__(
            {
                "valid": In(width),
                "destination": In(data.ArrayLayout(self.lane_bits, width)),
                "lanes": In(data.ArrayLayout(bits, width)),
                "arrived": Out(width),
                "routed": Out(data.ArrayLayout(bits, width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        valid = [self.valid[lane] for lane in range(self.width)]
        destination = [self.destination[lane] for lane in range(self.width)]
        lanes = [self.lanes[lane] for lane in range(self.width)]
        for bit in range(self.lane_bits):
            layer = []
            for lane in range(self.width):
                partner = lane ^ (1 << bit)
                side = (lane >> bit) & 1
                stays = Signal(name=f"stays_{bit}_{lane}")
                comes = Signal(name=f"comes_{bit}_{lane}")
                m.d.comb += [
                    stays.eq(valid[lane] & (destination[lane][bit] == side)),
                    comes.eq(valid[partner] & (destination[partner][bit] == side)),
                ]
                there = Signal(self.lane_bits, name=f"destination_{bit}_{lane}")
                moved = Signal(self.bits, name=f"moved_{bit}_{lane}")
                m.d.comb += [
                    there.eq(Mux(stays, destination[lane], destination[partner])),
                    moved.eq(Mux(stays, lanes[lane], lanes[partner])),
                ]
                layer.append((stays | comes, there, moved))
            valid, destination, lanes = zip(*layer, strict=True)
        arrived = Signal(self.width, reset_less=True)
        routed = Signal(data.ArrayLayout(self.bits, self.width), reset_less=True)
        for lane in range(self.width):
            m.d.sync += [arrived[lane].eq(valid[lane]), routed[lane].eq(lanes[lane])]
        m.d.comb += [self.arrived.eq(arrived), self.routed.eq(routed)]
        return m
