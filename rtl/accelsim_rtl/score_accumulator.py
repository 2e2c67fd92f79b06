"""The score accumulator of SpAtten: one sum a token, to which rows of probabilities are added."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from accelsim.units.score_accumulator import ADD, READ, STORE_LINES
from accelsim_rtl.topk.memory import READ_LATENCY, LineMemory
from accelsim_rtl.topk.pipeline import delayed


class ScoreAccumulator(wiring.Component):
    """request: operation (0 add, 1 clear, 2 read) and count, 1 up to the capacity.

    scores: a beat for each line of an add, the last one padded with anything. sums: what a read gives; lanes
    from `count` on are zero.
    Probes: busy (a request is in work), stored (lines at the output). latency: a line a clock; a sum can be
    used again WRITE_CYCLES after its line's address, and is at the output READ_CYCLES after it.
    """

    def __init__(self, parameters, *, target=None):
        self.parameters, self.target = parameters, target
        self.count_bits, self.width = parameters.capacity.bit_length(), parameters.width
        self.line_bits = (parameters.lines - 1).bit_length()
        self.lane_bits = (parameters.width - 1).bit_length()
        super().__init__(
            {
                "request": In(stream.Signature(request_layout(parameters))),
                "scores": In(stream.Signature(scores_layout(parameters))),
                "sums": Out(stream.Signature(sums_layout(parameters))),
                "busy": Out(1),
                "stored": Out(STORE_LINES.bit_length()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, width = self.parameters, self.width
        m.submodules.memory = memory = LineMemory(
            lines=parameters.lines, bits=width * parameters.sum_bits, target=self.target
        )

        # The request in work, and its line.
        operation = Signal(2, reset_less=True)
        count_less_one = Signal(self.line_bits + self.lane_bits, reset_less=True)
        line = Signal(self.line_bits, reset_less=True)
        last_line, last_lane = count_less_one[self.lane_bits :], count_less_one[: self.lane_bits]
        adds, reads, goes, last, free, room = (
            Signal(name=name) for name in ("adds", "reads", "goes", "last", "free", "room")
        )
        m.d.comb += [
            adds.eq(operation == ADD),
            reads.eq(operation == READ),
            goes.eq(self.busy & free & Mux(adds, self.scores.valid, ~reads | room)),
            last.eq(goes & (line == last_line)),
            self.scores.ready.eq(self.busy & free & adds),
            self.request.ready.eq(~self.busy | last),
        ]
        with m.If(goes):
            m.d.sync += line.eq(line + 1)
        with m.If(self.request.ready):
            m.d.sync += [
                self.busy.eq(self.request.valid),
                operation.eq(self.request.payload.operation),
                count_less_one.eq(self.request.payload["count"] - 1),
                line.eq(0),
            ]

        # Read.
        m.d.comb += memory.read_line.eq(line)
        writes = [goes & ~reads]
        lines = [line]
        for cycle in range(READ_LATENCY + 1):
            writes.append(delayed(m, writes[-1], 1, name=f"writes_{cycle}", resets=True))
            lines.append(delayed(m, lines[-1], 1, name=f"line_{cycle}"))
        under_way = zip(writes[1:], lines[1:], strict=True)
        m.d.comb += free.eq(~Cat(write & (there == line) for write, there in under_way).any())
        clears = delayed(m, ~adds, READ_LATENCY, name="clears")
        enabled = Cat((line != last_line) | (lane <= last_lane) for lane in range(width))
        enabled = delayed(m, enabled, READ_LATENCY, name="enabled")
        scores = delayed(m, self.scores.payload.as_value(), READ_LATENCY, name="scores")
        sums = data.ArrayLayout(parameters.sum_bits, width)(memory.read_bits)

        # Add and write.
        for lane in range(width):
            before = sums[lane]
            score = scores[lane * parameters.score_bits :][: parameters.score_bits]
            exact = Signal(parameters.sum_bits + 1, name=f"exact_{lane}")
            written = Signal(parameters.sum_bits, name=f"written_{lane}", reset_less=True)
            m.d.comb += exact.eq(before + Mux(enabled[lane], score, 0))
            m.d.sync += written.eq(Mux(clears, 0, exact[:-1] | exact[-1].replicate(parameters.sum_bits)))
            first = lane * parameters.sum_bits
            m.d.comb += memory.write_bits[first : first + parameters.sum_bits].eq(written)
        m.d.comb += [memory.write_enable.eq(writes[-1]), memory.write_line.eq(lines[-1])]

        # Read out.
        self._store(m, goes & reads, last, last_lane, room, sums, enabled)
        return m

    def _store(self, m, issued, last, last_lane, room, sums, enabled):
        """A few lines that wait for the sink; a line is read when there is room for it."""
        layout = sums_layout(self.parameters)
        arrives = delayed(m, issued, READ_LATENCY, name="arrives", resets=True)
        final = delayed(m, last, READ_LATENCY, name="final")
        count = delayed(m, Mux(last, last_lane + 1, self.width), READ_LATENCY, name="count")
        m.submodules.store = store = Memory(shape=layout.size, depth=STORE_LINES, init=[])
        write, read = store.write_port(), store.read_port(domain="comb")
        produce, consume = (Signal(range(STORE_LINES), name=name) for name in ("produce", "consume"))
        promised, taken = Signal(range(STORE_LINES + 1), name="promised"), Signal(name="taken")
        shown = [Mux(enabled[lane], sums[lane], 0) for lane in range(self.width)]
        m.d.comb += [
            write.en.eq(arrives),
            write.addr.eq(produce),
            write.data.eq(Cat(*shown, count[: self.width.bit_length()], final)),
            read.addr.eq(consume),
            self.sums.valid.eq(self.stored != 0),
            self.sums.payload.eq(read.data),
            taken.eq(self.sums.valid & self.sums.ready),
            room.eq(promised != STORE_LINES),
        ]
        m.d.sync += [
            produce.eq(produce + arrives),
            consume.eq(consume + taken),
            self.stored.eq(self.stored + arrives - taken),
            promised.eq(promised + issued - taken),
        ]


def request_layout(parameters):
    """What to do with how many tokens."""
    return data.StructLayout({"operation": 2, "count": parameters.capacity.bit_length()})


def scores_layout(parameters):
    """A line of scores."""
    return data.StructLayout({"scores": data.ArrayLayout(parameters.score_bits, parameters.width)})


def sums_layout(parameters):
    """A line of sums, how many of them count, and whether it is the last one of a read."""
    return data.StructLayout(
        {
            "sums": data.ArrayLayout(parameters.sum_bits, parameters.width),
            "count": parameters.width.bit_length(),
            "last": 1,
        }
    )
