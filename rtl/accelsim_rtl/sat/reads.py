# amaranth: UnusedElaboratable=no
# Walkers are made where a walk is named, and elaborated with what it asks for.
"""What a product reads, in the order in which the array needs it."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.sat.jobs import PRODUCT_FIELDS
from accelsim.units.sat.machine import Machine
from accelsim.units.sat.products import NORTH, WEST
from accelsim_rtl.sat.engine import request_layout, walker


class Reads(Component):
    """requests: lines for a buffer that has `room` for them, activations before weights.

    A request that waits is not overtaken. begins: a job, which stays while lines are asked for.
    west_reserves, north_reserves: a half is wanted; one of weights takes a request for each sum.
    """

    def __init__(self, parameters: Machine):
        self.parameters = parameters
        super().__init__(
            {
                "begins": In(1),
                "job": In(data.StructLayout(PRODUCT_FIELDS)),
                "west_room": In(1),
                "north_room": In(1),
                "west_reserves": Out(1),
                "north_reserves": Out(1),
                "requests": Out(stream.Signature(request_layout())),
            }
        )

    def elaborate(self, platform):
        m = Module()
        job, slots, request = self.job, self.parameters.interleave, self.requests.payload
        stationary = job.word[0]
        column = Mux(stationary, job.north_slot, job.north_slot * slots)
        repeats = Mux(job.uses == 1, job.column_tiles, 1)
        last_slot = Mux(stationary, 0, slots - 1)
        levels = [(job.chunks, job.west_lines), (repeats, 0), (job.row_tiles, job.west_row)]
        wests = walker(m, "west", job.west, levels, self.begins)
        levels = [
            (last_slot + 1, job.north_slot),
            (job.chunks, job.north_lines),
            (job.column_tiles, column),
            (job.row_tiles, 0),
        ]
        norths = walker(m, "north", job.north, levels, self.begins)

        slot = Signal(range(max(2, slots)))
        asks_west, asks_north, north_waits = Signal(), Signal(), Signal()
        m.d.comb += [
            asks_west.eq(wests.active & self.west_room & ~north_waits),
            asks_north.eq(~asks_west & norths.active & ((slot != 0) | self.north_room)),
            self.requests.valid.eq(asks_west | asks_north),
            request.target.eq(Mux(asks_west, WEST, NORTH)),
            request.lines.first.eq(Mux(asks_west, wests.addresses.payload, norths.addresses.payload)),
            request.lines.count.eq(Mux(asks_west, job.west_lines, job.north_lines)),
            wests.addresses.ready.eq(asks_west & self.requests.ready),
            norths.addresses.ready.eq(asks_north & self.requests.ready),
            self.west_reserves.eq(wests.addresses.ready),
            self.north_reserves.eq(norths.addresses.ready & (slot == 0)),
        ]
        m.d.sync += north_waits.eq(asks_north & ~self.requests.ready)
        with m.If(norths.addresses.ready):
            m.d.sync += slot.eq(Mux(slot == last_slot, 0, slot + 1))
        return m
