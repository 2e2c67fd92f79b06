# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds pipelines that nobody elaborates.
"""A stream around a floating-point pipeline: room for every result is promised before its operands enter."""

from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Component, In, Out

from accelsim.units import floating
from accelsim.units.promises import store_depth
from accelsim_rtl.float.adder import FloatAdder
from accelsim_rtl.float.converter import FloatConverter
from accelsim_rtl.float.multiplier import FloatMultiplier
from accelsim_rtl.float.multiply_add import FloatMultiplyAdd
from accelsim_rtl.promised_store import PromisedStore
from accelsim_rtl.topk.pipeline import delayed

NAMES = ("first", "second", "third")


class FloatUnit(Component):
    """operands: `first`, `second`, `third`, as many as the operation has; of one alone `operand`.

    results: a word each. Probe: promised (operations on their way or at the output). Latency:
    `latency_cycles` of the parameters. Throughput: an operation a clock.
    """

    def __init__(self, parameters: floating.Operation):
        self.parameters = parameters
        self.core = core(parameters)
        self.names = NAMES[: len(parameters.operands)] if len(parameters.operands) > 1 else ("operand",)
        self.store = PromisedStore(parameters.result.bits, store_depth(parameters.latency_cycles))
        operands = data.StructLayout(
            {name: form.bits for name, form in zip(self.names, parameters.operands, strict=True)}
        )
        super().__init__(
            {
                "operands": In(stream.Signature(operands)),
                "results": Out(stream.Signature(parameters.result.bits)),
                "promised": Out(range(self.store.depth + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = self.core
        m.submodules.store = store = self.store
        issued = self.operands.valid & self.operands.ready
        arrives = delayed(m, issued, self.parameters.clocks, name="arrives", resets=True)
        wiring.connect(m, store.given, wiring.flipped(self.results))
        m.d.comb += [getattr(core, name).eq(self.operands.payload[name]) for name in self.names]
        m.d.comb += [
            self.operands.ready.eq(store.room),
            self.promised.eq(store.promised),
            store.issued.eq(issued),
            store.arrives.eq(arrives),
            store.beat.eq(core.result),
        ]
        return m


def core(parameters: floating.Operation) -> Component:
    """The pipeline of an operation."""
    first, result = parameters.operands[0], parameters.result
    match parameters.arithmetic:
        case "multiply":
            return FloatMultiplier(first, result, parameters.clocks)
        case "add":
            return FloatAdder(result, parameters.clocks)
        case "convert":
            return FloatConverter(first, result, parameters.clocks)
        case "multiply_add":
            return FloatMultiplyAdd(parameters.multiplier_latency, parameters.adder_latency)
