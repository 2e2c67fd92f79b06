"""WUVE: the optimiser's step on as many weights at a time as there are lanes."""

import numpy as np
from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from accelsim.golden.floating import FP16, FP32
from accelsim.units.wuve import Wuve as Parameters
from accelsim_rtl.float.adder import FloatAdder
from accelsim_rtl.float.converter import FloatConverter
from accelsim_rtl.float.multiplier import FloatMultiplier
from accelsim_rtl.kit.repeated import Repeated
from accelsim_rtl.topk.pipeline import delayed


class Wuve(Component):
    """beats: gradients, weights and velocities (FP32) and whether a weight is kept forward, of every lane.

    updated: weights and velocities (FP32) and copies of the weights (FP16). Probe: infinite (since reset a
    gradient was Inf or NaN). Latency: `latency` of the parameters. Throughput: a beat a clock. The
    pipeline moves as one and stands while its last beat is not taken.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        singles, halves = (data.ArrayLayout(form.bits, parameters.lanes) for form in (FP32, FP16))
        names = ("gradients", "weights", "velocities")
        beat = data.StructLayout(dict.fromkeys(names, singles) | {"kept": parameters.lanes})
        updated = data.StructLayout({"weights": singles, "velocities": singles, "copies": halves})
        super().__init__(
            {
                "beats": In(stream.Signature(beat)),
                "updated": Out(stream.Signature(updated)),
                "infinite": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, beat, updated = self.parameters, self.beats.payload, self.updated.payload
        moves = ~self.updated.valid | self.updated.ready
        m.d.comb += self.beats.ready.eq(moves)

        # Whether the last place of the pipeline holds a beat.
        m.d.comb += self.updated.valid.eq(self._held(m, moves))

        members = lane_members()
        for number in range(parameters.lanes):
            lane = Repeated("sat_wuve_lane", members, lambda: WuveLane(parameters))
            m.submodules[f"lane_{number}"] = lane
            m.d.comb += [
                lane.moves.eq(moves),
                lane.gradient.eq(beat.gradients[number]),
                lane.weight.eq(beat.weights[number]),
                lane.velocity.eq(beat.velocities[number]),
                lane.kept.eq(beat.kept[number]),
                updated.weights[number].eq(lane.new_weight),
                updated.velocities[number].eq(lane.new_velocity),
                updated.copies[number].eq(lane.copy),
            ]
        top = slice(FP32.fraction_bits, FP32.bits - 1)
        infinite = Cat(beat.gradients[number][top].all() for number in range(parameters.lanes)).any()
        with m.If(self.beats.valid & moves & infinite):
            m.d.sync += self.infinite.eq(1)
        return m

    def _held(self, m, moves):
        """A bit that moves with the pipeline, set where a beat entered."""
        inner = Module()
        held = delayed(inner, self.beats.valid, self.parameters.latency, name="holds", resets=True)
        m.submodules.holds = EnableInserter(moves)(inner)
        return held


class WuveLane(Component):
    """One weight a clock, in the order of `accelsim.golden.momentum`; constants are built in.

    Operands that are needed late wait in registers. The copy has no register of its own.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        super().__init__(lane_members())

    def elaborate(self, platform):
        m = Module()
        parameters, constants = self.parameters, self.parameters.constants
        multiplies, adds = parameters.multiplier_latency, parameters.adder_latency
        gradient, clock = self.gradient, 0
        decays = [
            (name, rate)
            for name, rate in (("weight_decay", constants.weight_decay), ("decay", constants.decay))
            if rate
        ]

        # The gradient without its scale, and what decays.
        if constants.loss_scale > 1:
            gradient = self._multiplied(m, "unscaled", gradient, 1 / constants.loss_scale)
        elif decays:
            gradient = delayed(m, gradient, multiplies, name="gradient")
        if constants.loss_scale > 1 or decays:
            clock += multiplies
        for number, (name, rate) in enumerate(decays):
            product = self._multiplied(m, name, self.weight, rate)
            product = delayed(m, product, number * adds, name=f"{name}_product")
            grown = self._added(m, f"{name}_sum", gradient, product)
            before = delayed(m, gradient, adds, name=f"before_{name}")
            clock += adds
            pruned = ~delayed(m, self.kept, clock, name=f"kept_{name}") if name == "decay" else Const(1)
            gradient = Mux(pruned, grown, before)

        # The velocity, then the weight.
        velocity = delayed(m, self.velocity, clock, name="velocity")
        slowed = self._multiplied(m, "slowed", velocity, constants.momentum)
        velocity = self._added(m, "accelerated", slowed, delayed(m, gradient, multiplies, name="pull"))
        clock += multiplies + adds
        way = self._multiplied(m, "way", velocity, constants.rate)
        weight = delayed(m, self.weight, clock + multiplies, name="weight")
        weight = self._added(m, "moved", weight, Cat(way[:-1], ~way[-1]))
        m.submodules.narrow = narrow = FloatConverter(FP32, FP16, 0)
        m.d.comb += [
            narrow.operand.eq(weight),
            self.copy.eq(narrow.result),
            self.new_weight.eq(weight),
            self.new_velocity.eq(delayed(m, velocity, multiplies + adds, name="new_velocity")),
        ]
        return EnableInserter(self.moves)(m)

    def _multiplied(self, m, name, value, factor):
        """Its product with a constant."""
        m.submodules[name] = multiplier = FloatMultiplier(FP32, FP32, self.parameters.multiplier_latency)
        word = int(np.float32(factor).view(np.uint32))
        m.d.comb += [multiplier.first.eq(value), multiplier.second.eq(Const(word, FP32.bits))]
        return multiplier.result

    def _added(self, m, name, one, other):
        m.submodules[name] = adder = FloatAdder(FP32, self.parameters.adder_latency)
        m.d.comb += [adder.first.eq(one), adder.second.eq(other)]
        return adder.result


def lane_members():
    """The ports of a lane."""
    inputs = {"gradient": 32, "weight": 32, "velocity": 32, "kept": 1, "moves": 1}
    outputs = {"new_weight": FP32.bits, "new_velocity": FP32.bits, "copy": FP16.bits}
    return {name: In(bits) for name, bits in inputs.items()} | {
        name: Out(bits) for name, bits in outputs.items()
    }
