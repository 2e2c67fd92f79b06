"""A crossbar gives every beat to the output that it names, as it came, in the clock in which it takes it."""

from amaranth.hdl import Array, Assert, Cat, Const, Module, Mux, Signal

from accelsim_rtl.crossbar import Crossbar
from accelsim_rtl.proofs.watching import Harness


class CrossbarBeats(Harness):
    """Around a crossbar without FIFOs or with FIFOs before its inputs.

    Taps: the inputs that have the outputs, and what lies in the FIFOs, for the invariants.
    """

    def __init__(self, crossbar: Crossbar):
        parameters = crossbar.parameters
        taps = {
            f"held_{output}": (f"output_{output}.held", parameters.inputs)
            for output in range(parameters.outputs)
        }
        cells = range(parameters.input_depth)
        for port in range(parameters.inputs if parameters.input_depth else 0):
            inside = f"entering_{port}"
            taps[f"level_{port}"] = (f"{inside}.level", range(parameters.input_depth + 1))
            taps |= {
                f"stored_{port}_{cell}": (f"{inside}.storage[{cell}]", parameters.bits) for cell in cells
            }
            if len(cells) > 1:  # a single cell has no pointers
                taps |= {f"{name}_{port}": (f"{inside}.{name}", cells) for name in ("produce", "consume")}
        super().__init__(crossbar, taps=taps)

    def claim(self, m: Module):
        super().claim(m)
        parameters = self.dut.parameters
        heads = [self._head(m, port) for port in range(parameters.inputs)]
        goals = [self._goal(payload) for _, payload in heads]
        granted = [getattr(self, f"granted_{output}") for output in range(parameters.outputs)]

        # Invariant: who has an output that is promised still asks for it, and is the only one.
        for output in range(parameters.outputs):
            held = getattr(self, f"held_{output}")
            asks = Cat(valid & (goal == output) for (valid, _), goal in zip(heads, goals, strict=True))
            # No output is idle that somebody asks for.
            m.d.comb += Assert(granted[output].valid == asks.any())
            with m.If(self.locked[output]):
                m.d.comb += [
                    Assert(held.any()),
                    Assert((held & (held - 1)) == 0),
                    Assert((held & ~asks) == 0),
                ]

        # What an output offers is the beat of the input that it names, which wants to go there.
        for output, stream in enumerate(granted):
            source = stream.payload.source
            with m.If(stream.valid):
                m.d.comb += [
                    Assert(source < parameters.inputs),
                    Assert(Array(valid for valid, _ in heads)[source]),
                    Assert(Array(goals)[source] == output),
                    Assert(stream.payload.item == Array(payload for _, payload in heads)[source]),
                ]
        if parameters.input_depth:
            return

        # Nothing is taken that does not leave, and nothing leaves that is not taken.
        for port in range(parameters.inputs):
            request = getattr(self, f"request_{port}")
            leaves = [stream.valid & stream.ready & (stream.payload.source == port) for stream in granted]
            m.d.comb += Assert((request.valid & request.ready) == Cat(leaves).any())

    def _head(self, m: Module, port: int):
        """Whether an input has a beat, and the oldest one."""
        depth = self.dut.parameters.input_depth
        if not depth:
            request = getattr(self, f"request_{port}")
            return request.valid, request.payload
        level = getattr(self, f"level_{port}")
        stored = Array(getattr(self, f"stored_{port}_{cell}") for cell in range(depth))
        produce, consume = (
            (getattr(self, f"{name}_{port}") for name in ("produce", "consume"))
            if depth > 1
            else (Const(0), Const(0))
        )
        place = Signal(range(2 * depth), name=f"place_{port}")
        m.d.comb += [
            place.eq(consume + level),
            Assert(level <= depth),
            Assert(consume < depth),
            Assert(produce == Mux(place >= depth, place - depth, place)),
        ]
        return level != 0, stored[consume]

    def _goal(self, payload):
        parameters = self.dut.parameters
        field = payload[parameters.position :][: (parameters.outputs - 1).bit_length()]
        return field % parameters.outputs
