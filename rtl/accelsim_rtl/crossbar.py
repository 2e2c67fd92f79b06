"""Crossbar of SpAtten's fetcher: many streams to many, each beat to the output that it names."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from accelsim.units.crossbar import Crossbar as Parameters


def granted_layout(parameters):
    """Payload of `granted_0`, ...: a beat, and the input it came from."""
    return data.StructLayout({"item": parameters.bits, "source": range(parameters.inputs)})


class Crossbar(wiring.Component):
    """Streams `request_0`, ... in, `granted_0`, ... out; probe `locked`: outputs that are promised to a beat.

    An output takes a beat a clock, of the lowest input that asks for it; a beat that waits keeps its output.
    Latency: none by itself; a FIFO before the inputs (`input_depth`) is a clock, one behind the outputs
    (`output_depth`) another. Throughput: a beat a clock of each input and each output.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        requests = {
            f"request_{port}": In(stream.Signature(parameters.bits)) for port in range(parameters.inputs)
        }
        granted = stream.Signature(granted_layout(parameters))
        super().__init__(
            requests
            | {f"granted_{port}": Out(granted) for port in range(parameters.outputs)}
            | {"locked": Out(parameters.outputs)}
        )

    def elaborate(self, platform):
        m = Module()
        parameters = self.parameters
        heads = [self._head(m, port) for port in range(parameters.inputs)]

        # Where the oldest beat of each input wants to go.
        goals = []
        for port, head in enumerate(heads):
            goal = Signal(range(parameters.outputs), name=f"goal_{port}")
            # Zeros above the payload: the field may reach beyond it.
            field = Cat(head.payload, *[0] * len(goal))[parameters.position :][: len(goal)]
            within = Mux(field >= parameters.outputs, field - parameters.outputs, field)
            m.d.comb += goal.eq(within)
            goals.append(goal)

        takes, locked = [], []
        for output in range(parameters.outputs):
            m.submodules[f"output_{output}"] = chooser = Chooser(parameters)
            wants = [
                head.valid & (goal == output if len(goal) else 1)
                for head, goal in zip(heads, goals, strict=True)
            ]
            m.d.comb += [chooser.wants.eq(Cat(wants)), chooser.items.eq(Cat(head.payload for head in heads))]
            self._leave(m, output, chooser.granted)
            takes.append(chooser.takes)
            locked.append(chooser.locked)
        m.d.comb += self.locked.eq(Cat(locked))
        for port, head in enumerate(heads):
            m.d.comb += head.ready.eq(Cat(take[port] for take in takes).any())
        return m

    def _head(self, m, port):
        """The stream of an input's oldest beats."""
        request = getattr(self, f"request_{port}")
        if not self.parameters.input_depth:
            return request
        entering = fifo.SyncFIFO(width=self.parameters.bits, depth=self.parameters.input_depth)
        m.submodules[f"entering_{port}"] = entering
        wiring.connect(m, wiring.flipped(request), entering.w_stream)
        return entering.r_stream

    def _leave(self, m, output, granted):
        """What an output gives, through its FIFO if it has one."""
        sink = wiring.flipped(getattr(self, f"granted_{output}"))
        if not self.parameters.output_depth:
            wiring.connect(m, granted, sink)
            return
        width = granted_layout(self.parameters).size
        leaving = fifo.SyncFIFO(width=width, depth=self.parameters.output_depth)
        m.submodules[f"leaving_{output}"] = leaving
        m.d.comb += [
            leaving.w_stream.valid.eq(granted.valid),
            leaving.w_stream.payload.eq(granted.payload.as_value()),
            granted.ready.eq(leaving.w_stream.ready),
            sink.valid.eq(leaving.r_stream.valid),
            sink.payload.as_value().eq(leaving.r_stream.payload),
            leaving.r_stream.ready.eq(sink.ready),
        ]


class Chooser(wiring.Component):
    """One output: the input that has it, and that input's beat.

    wants: which inputs ask for it; items: their beats; takes: the one whose beat leaves in this clock.
    locked: the beat of an earlier clock waits.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        super().__init__(
            {
                "wants": In(parameters.inputs),
                "items": In(parameters.inputs * parameters.bits),
                "granted": Out(stream.Signature(granted_layout(parameters))),
                "takes": Out(parameters.inputs),
                "locked": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        inputs, bits = self.parameters.inputs, self.parameters.bits

        # The lowest that asks, unless another one waits: one bit of `has` is set, or none.
        held = Signal(inputs)
        has = Signal(inputs)
        lowest = self.wants & (~self.wants + 1)[:inputs]
        m.d.comb += [has.eq(Mux(self.locked, held, lowest)), self.granted.valid.eq(has.any())]
        moves = Signal()
        m.d.comb += [
            moves.eq(self.granted.valid & self.granted.ready),
            self.takes.eq(Mux(self.granted.ready, has, 0)),
        ]
        m.d.sync += [self.locked.eq(self.granted.valid & ~moves), held.eq(has)]

        # Its beat and its number: everything else is masked away.
        item, source = 0, 0
        for port in range(inputs):
            item |= self.items[port * bits : (port + 1) * bits] & has[port].replicate(bits)
            source |= has[port].replicate(len(self.granted.payload.source)) & port
        m.d.comb += [self.granted.payload.item.eq(item), self.granted.payload.source.eq(source)]
        return m
