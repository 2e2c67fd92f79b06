"""Prefix sum: for every lane, how many of the lanes before it are set, and how many are in all.

Held against `accelsim.units.prefix_sum.Model` row by row.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from accelsim.units.prefix_sum import PrefixSum as Parameters


def sum_layer(sums, distance):
    """One layer over inclusive sums: each lane adds that of the lane `distance` below."""
    return [total + sums[lane - distance] if lane >= distance else total for lane, total in enumerate(sums)]


def sums_layout(parameters):
    """Payload of `sums`."""
    count = range(parameters.lanes + 1)
    return data.StructLayout({"before": data.ArrayLayout(count, parameters.lanes), "count": count})


class PrefixSum(wiring.Component):
    """Streams `flags` in, `sums` out.

    Latency `parameters.latency_cycles`, throughput one row a clock. `flags_ready` follows `sums_ready` in the
    same clock.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        super().__init__(
            {
                "flags": In(stream.Signature(data.ArrayLayout(1, parameters.lanes))),
                "sums": Out(stream.Signature(sums_layout(parameters))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes, layers = self.parameters.lanes, self.parameters.layers
        advance, bits = Signal(), lanes.bit_length()

        def registered(name, value, shape):
            signal = Signal(shape, name=name)
            with m.If(advance):
                m.d.sync += signal.eq(value)
            return signal

        flags, sums, valid = list(self.flags.payload), list(self.flags.payload), self.flags.valid
        for layer in range(max(1, layers)):
            sums = sum_layer(sums, 1 << layer)
            if self.parameters.registers == "max_frequency" or layer >= layers - 1:
                sums = [registered(f"sum_{layer}_{lane}", total, bits) for lane, total in enumerate(sums)]
                flags = [registered(f"flag_{layer}_{lane}", flag, 1) for lane, flag in enumerate(flags)]
                valid = registered(f"valid_{layer}", valid, 1)

        m.d.comb += [
            advance.eq(~valid | self.sums.ready),
            self.flags.ready.eq(advance),
            self.sums.valid.eq(valid),
            self.sums.payload.count.eq(sums[-1]),
        ]
        for before, total, flag in zip(self.sums.payload.before, sums, flags, strict=True):
            m.d.comb += before.eq(total - flag)
        return m
