# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds pipelines that nobody elaborates.
"""Product and sum in FP32, each rounded, as the weight update is defined."""

from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

from accelsim.golden.floating import FP32
from accelsim_rtl.float.adder import FloatAdder
from accelsim_rtl.float.multiplier import FloatMultiplier
from accelsim_rtl.topk.pipeline import delayed


class FloatMultiplyAdd(Component):
    """result = first * second + third, not fused: a multiplier, an adder behind it.

    Latency: that of both. Throughput: one a clock; all three operands enter together.
    """

    def __init__(self, multiplier_latency, adder_latency):
        self.multiplier_latency = multiplier_latency
        self.multiplier = FloatMultiplier(FP32, FP32, multiplier_latency)
        self.adder = FloatAdder(FP32, adder_latency)
        super().__init__(
            {"first": In(32), "second": In(32), "third": In(32), "result": Out(32)},
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.multiplier = multiplier = self.multiplier
        m.submodules.adder = adder = self.adder
        m.d.comb += [
            multiplier.first.eq(self.first),
            multiplier.second.eq(self.second),
            adder.first.eq(multiplier.result),
            adder.second.eq(delayed(m, self.third, self.multiplier_latency, name="third")),
            self.result.eq(adder.result),
        ]
        return m
