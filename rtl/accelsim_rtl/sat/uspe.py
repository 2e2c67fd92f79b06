"""USPE, the processing element of SAT's array: one multiplier, one adder, both dataflows, dense or N:M.

It knows nothing of N:M: a weight's index chooses one of the group of activations that pass, and whoever
feeds the array lets a group pass N times. Dense weights have index 0.
"""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from accelsim.golden.floating import FP16, FP32
from accelsim.units.sat_array import SatArray as Parameters
from accelsim_rtl.float.adder import FloatAdder
from accelsim_rtl.float.multiplier import FloatMultiplier
from accelsim_rtl.topk.pipeline import delayed


class Uspe(Component):
    """west, north: what passes, each an element further a clock later. stationary: weights are.

    Sums stationary: in a clock with `west.valid`, the sum of `west.slot` (or zero, if `west.first`) and the
    product of what passes go into the adder; their sum is there A clocks after the product.
    Weights stationary: a passing weight with `north.load` and `north.row` 0 stays. `sum_out` is `sum_in`
    and the product of the weight that stays with the passing activation, A clocks after the product.
    Draining: `capture` takes the sum of `capture_slot` to `drained_out`, `shift` what the element above has
    there. With several sums there are two banks: `bank` is added to, the other one is captured.

    Throughput: a product and a sum a clock.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        super().__init__(element_members(parameters))

    def elaborate(self, platform):
        m = Module()
        parameters = self.parameters
        west, north = self.west, self.north
        m.submodules.multiplier = multiplier = FloatMultiplier(FP16, FP32, parameters.multiplier_latency)
        # The register behind the adder is that of the sum.
        m.submodules.adder = adder = FloatAdder(FP32, parameters.adder_latency - 1)

        # What passes. A weight that stays here loads no row below.
        stays = north.load & (north.row == 0)
        m.d.comb += [
            self.west_out.eq(passing(m, west, name="west")),
            self.north_out.weight.eq(delayed(m, north.weight.as_value(), 1, name="weight")),
            self.north_out.row.eq(delayed(m, (north.row - 1)[: len(north.row)], 1, name="row")),
            self.north_out.load.eq(delayed(m, north.load & ~stays, 1, name="load", resets=True)),
        ]

        # A weight that stays, or one that passes; its index chooses what it is multiplied with.
        weight = Signal(weight_layout(parameters), reset_less=True)
        with m.If(stays):
            m.d.sync += weight.eq(north.weight)
        chosen = Signal(weight_layout(parameters))
        m.d.comb += [
            chosen.eq(Mux(self.stationary, weight, north.weight)),
            multiplier.first.eq(west.lanes[chosen.index]),
            multiplier.second.eq(chosen.value),
        ]

        # The sum that the product is added to, when it is there.
        wait = parameters.multiplier_latency
        valid = delayed(m, west.valid & ~self.stationary, wait, name="valid", resets=True)
        first = delayed(m, west.first, wait, name="first")
        slot = delayed(m, west.slot, wait, name="slot")
        banks = [
            [
                Signal(FP32.bits, name=f"sum_{bank}_{place}", reset_less=True)
                for place in range(parameters.interleave)
            ]
            for bank in range(parameters.banks)
        ]
        own = Mux(self.bank, Array(banks[-1])[slot], Array(banks[0])[slot])
        m.d.comb += [
            adder.first.eq(Mux(self.stationary, self.sum_in, Mux(first, 0, own))),
            adder.second.eq(multiplier.result),
        ]

        # The sum goes on down the column, or stays.
        wait = parameters.adder_latency - 1
        writes = delayed(m, valid, wait, name="writes", resets=True)
        written = delayed(m, slot, wait, name="written")
        m.d.comb += self.sum_out.eq(delayed(m, adder.result, 1, name="sum"))
        for number, bank in enumerate(banks):
            for place, own in enumerate(bank):
                here = writes & (written == place) & ((self.bank == number) | (parameters.banks == 1))
                with m.If(here):
                    m.d.sync += own.eq(adder.result)

        # Sums that have stayed leave down the column.
        complete = Mux(self.bank, Array(banks[0])[self.capture_slot], Array(banks[-1])[self.capture_slot])
        drained = Signal(FP32.bits, reset_less=True)
        m.d.comb += self.drained_out.eq(drained)
        with m.If(self.capture):
            m.d.sync += drained.eq(complete)
        with m.Elif(self.shift):
            m.d.sync += drained.eq(self.drained_in)
        return m


def element_members(parameters: Parameters):
    """The ports of an element."""
    return {
        "west": In(west_layout(parameters)),
        "west_out": Out(west_layout(parameters)),
        "north": In(north_layout(parameters)),
        "north_out": Out(north_layout(parameters)),
        "sum_in": In(FP32.bits),
        "sum_out": Out(FP32.bits),
        "drained_in": In(FP32.bits),
        "drained_out": Out(FP32.bits),
        "stationary": In(1),
        "bank": In(1),
        "capture": In(1),
        "capture_slot": In(slots(parameters)),
        "shift": In(1),
    }


def passing(m, west, *, name):
    """What goes on to the next element of the row, a clock later."""
    fields = (
        delayed(m, west.valid, 1, name=f"{name}_valid", resets=True),
        delayed(m, west.first, 1, name=f"{name}_first"),
        delayed(m, west.slot, 1, name=f"{name}_slot"),
        delayed(m, west.lanes.as_value(), 1, name=f"{name}_lanes"),
    )
    return Cat(*fields)


def weight_layout(parameters: Parameters) -> data.StructLayout:
    """A weight and which of a group it belongs to."""
    return data.StructLayout({"value": FP16.bits, "index": parameters.index_bits})


def west_layout(parameters: Parameters) -> data.StructLayout:
    """A group of activations, what to do with them if `valid`: the sum, and whether it begins."""
    return data.StructLayout(
        {
            "valid": 1,
            "first": 1,
            "slot": slots(parameters),
            "lanes": data.ArrayLayout(FP16.bits, parameters.group),
        }
    )


def north_layout(parameters: Parameters) -> data.StructLayout:
    """A weight; with `load` it stays in the element `row` rows further down."""
    return data.StructLayout(
        {"weight": weight_layout(parameters), "row": range(max(2, parameters.rows)), "load": 1}
    )


def slots(parameters: Parameters) -> range:
    """Numbers of the sums of an element."""
    return range(max(2, parameters.interleave))
