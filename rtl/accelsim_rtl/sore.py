"""SORE: dense weights in, N of every M out, as many groups at a time as there are lanes.

All lanes work in step, so the engine is lanes, one position and one handshake.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.sore import Sore as Parameters
from accelsim_rtl.sore_lane import SoreLane, pair_layout


class Sore(Component):
    """Reduces `lanes` groups of M numbers at a time to their N largest magnitudes.

    A beat of `weights` brings the next number of every lane's group: lane l of beat b is element b of group
    l. Lane l is meant for row l of a tile of `lanes` rows whose groups lie along the row, so that the beats
    are the tile's columns. `last` ends a group before its M-th number, in all lanes; the free places are
    filled with zeros at the lowest free indices. A beat of `kept` holds N pairs a lane, indices ascending.

    Latency: a group is on `kept` M clocks after the clock that took its first beat, if beats came without
    gap. Throughput: a beat a clock, a group of every lane each M clocks. While a finished group waits on
    `kept`, the next one is taken up to, but not with, its last beat; `weights.ready` follows `kept.ready` in
    the same clock. Reset drops the open and the waiting group.

    Members
    -------
    weights : In(stream)
        values (lanes x value_bits), last.
    kept : Out(stream)
        lanes x n x (value, index).
    position : Out
        Probe: numbers that each lane holds of the open group.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        beat = data.StructLayout(
            {"values": data.ArrayLayout(parameters.value_bits, parameters.lanes), "last": 1}
        )
        group = data.ArrayLayout(pair_layout(parameters), parameters.n)
        super().__init__(
            {
                "weights": In(stream.Signature(beat)),
                "kept": Out(stream.Signature(data.ArrayLayout(group, parameters.lanes))),
                "position": Out(range(parameters.m)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters = self.parameters

        # The last beat of a group needs a place for the result.
        ends = Signal()
        take = Signal()
        m.d.comb += [
            ends.eq(self.weights.payload.last | (self.position == parameters.m - 1)),
            self.weights.ready.eq(~ends | ~self.kept.valid | self.kept.ready),
            take.eq(self.weights.valid & self.weights.ready),
        ]

        # Position in the group; the first N numbers fill the store.
        filled = Signal(parameters.n)
        m.d.comb += [filled[slot].eq(self.position > slot) for slot in range(parameters.n)]
        with m.If(take):
            m.d.sync += self.position.eq(self.position + 1)
            with m.If(ends):
                m.d.sync += self.position.eq(0)

        for number in range(parameters.lanes):
            m.submodules[f"lane_{number}"] = lane = SoreLane(parameters)
            m.d.comb += [
                lane.value.eq(self.weights.payload["values"][number]),
                lane.index.eq(self.position),
                lane.filled.eq(filled),
                lane.take.eq(take),
                lane.ends.eq(ends),
                self.kept.payload[number].eq(lane.kept),
            ]

        # The lanes hold the finished group until it is taken.
        with m.If(take & ends):
            m.d.sync += self.kept.valid.eq(1)
        with m.Elif(self.kept.ready):
            m.d.sync += self.kept.valid.eq(0)
        return m
