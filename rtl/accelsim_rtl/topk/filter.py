"""The filter: the kept elements of a row in their order, packed into full lines.

Nothing in it ever stops: a line is read only when the store behind it has room for what may come of it.
"""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from accelsim.units.topk.parameters import FILTER_COMPARE_STAGES, FILTER_COUNT_STAGES
from accelsim_rtl.topk.adders import reaches
from accelsim_rtl.topk.compact import Compactor
from accelsim_rtl.topk.compare import Compare
from accelsim_rtl.topk.count import PrefixCount
from accelsim_rtl.topk.memory import READ_LATENCY
from accelsim_rtl.topk.pipeline import LANES_OF_A_COPY, copies, delayed
from accelsim_rtl.topk.shapes import Shapes
from accelsim_rtl.topk.store import Store


class Filter(wiring.Component):
    """start: kth, quota, count and keep are right, and stay so until `ends`: the last line is being read.

    read_line, and read_bits two cycles later: the bank of the row. kept: its lines; stored: how many of them
    wait. latency: `filter_cycles` from a line's address to the line that it completes at the output.
    """

    def __init__(self, parameters):
        self.parameters, self.shapes = parameters, Shapes(parameters)
        shapes = self.shapes
        super().__init__(
            {
                "start": In(1),
                "ends": Out(1),
                "count_less_one": In(shapes.index_bits),
                "keep_less_one": In(shapes.index_bits),
                "kth": In(shapes.bits),
                "quota": In(shapes.count_bits),
                "read_line": Out(shapes.line_bits),
                "read_bits": In(shapes.width * shapes.bits),
                "kept": Out(stream.Signature(shapes.kept)),
                "stored": Out(parameters.store_lines.bit_length()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, shapes = self.parameters, self.shapes
        compare_stages, count_stages = FILTER_COMPARE_STAGES, FILTER_COUNT_STAGES
        compact_cycles = count_stages + 4
        m.submodules.compare = compare = Compare(width=shapes.width, bits=shapes.bits, stages=compare_stages)
        m.submodules.equals = equals = PrefixCount(width=shapes.width, stages=count_stages)
        element = data.StructLayout({"score": shapes.bits, "index": shapes.index_bits})
        m.submodules.compactor = compactor = Compactor(
            width=shapes.width, bits=element.size, lines=shapes.lines, count_stages=count_stages
        )
        m.submodules.store = store = Store(parameters)

        # Issue.
        line, left_lines = (
            Signal(shapes.line_bits, name=name, reset_less=True) for name in ("line", "left_lines")
        )
        running = Signal()
        last_line = self.count_less_one[shapes.lane_bits :]
        at_first, at_last = Signal(reset_less=True), Signal(reset_less=True)
        issued, first, last = Signal(), Signal(), Signal()
        m.d.comb += [
            issued.eq(running & store.room),
            first.eq(issued & at_first),
            last.eq(issued & at_last),
            self.ends.eq(last),
            self.read_line.eq(line),
        ]
        with m.If(self.start):
            m.d.sync += running.eq(1)
        with m.Elif(last):
            m.d.sync += running.eq(0)
        with m.If(~running):
            # Ready for whenever a row starts.
            m.d.sync += [
                line.eq(0),
                left_lines.eq(last_line),
                at_first.eq(1),
                at_last.eq(last_line == 0),
            ]
        with m.Elif(store.room):
            m.d.sync += [
                line.eq(line + 1),
                at_first.eq(0),
                left_lines.eq(left_lines - 1),
                at_last.eq(left_lines == 1),
            ]

        # Read. What the row needs later travels with its lines.
        tags = Signal(data.StructLayout({"issued": 1, "first": 1, "last": 1}))
        m.d.comb += [tags.issued.eq(issued), tags.first.eq(first), tags.last.eq(last)]
        tags = delayed(m, tags, READ_LATENCY, name="read", resets=True)
        numbers = Signal(
            data.StructLayout(
                {
                    "line": shapes.line_bits,
                    "quota": shapes.count_bits,
                    "keep_less_one": shapes.index_bits,
                }
            )
        )
        m.d.comb += [
            numbers.line.eq(line),
            numbers.quota.eq(self.quota),
            numbers.keep_less_one.eq(self.keep_less_one),
        ]
        numbers = delayed(m, numbers, READ_LATENCY, name="numbers_read")
        lanes = delayed(m, self.read_bits, 1, name="lanes")
        kth = delayed(m, self.kth, READ_LATENCY, name="kth_read")

        # Compare. The row's count stands still until the cycle after that of its last line.
        within = Cat(reaches(self.count_less_one[: shapes.lane_bits], lane) for lane in range(shapes.width))
        within = delayed(m, within, 1, name="within")
        enabled = Signal(shapes.width)
        for lane in range(shapes.width):
            m.d.sync += enabled[lane].eq(tags.issued & (~tags.last | within[lane]))
        m.d.comb += [
            compare.load.eq(tags.first),
            compare.against.eq(kth),
            compare.lanes.eq(lanes),
            compare.enabled.eq(enabled),
        ]
        tags = delayed(m, tags, 1 + compare_stages, name="compared", resets=True)
        numbers = delayed(m, numbers, 1 + compare_stages, name="numbers_compared")
        lanes = delayed(m, lanes, compare_stages, name="lanes_compared")
        enabled = delayed(m, enabled, compare_stages, name="enabled_compared")
        equal = Signal(shapes.width)
        m.d.comb += [equal.eq(enabled & ~compare.smaller & ~compare.larger), equals.marks.eq(equal)]

        # Count the equal ones before each lane, and before the line.
        starts = delayed(m, tags.first, count_stages - 1, name="starts", resets=True)
        tags = delayed(m, tags, count_stages, name="counted", resets=True)
        numbers = delayed(m, numbers, count_stages, name="numbers_counted")
        seen, before_line = (
            Signal(shapes.count_bits, name=name, reset_less=True) for name in ("seen", "before")
        )
        m.d.sync += [seen.eq(Mux(starts, 0, seen) + equals.total), before_line.eq(seen)]
        tags = delayed(m, tags, 1, name="seen", resets=True)
        numbers = delayed(m, numbers, 1, name="numbers_seen")

        # Room: how many more equal ones may stay, as far as this line can tell.
        left = Signal(range(-parameters.capacity, parameters.capacity + 1), reset_less=True)
        rooms = copies(shapes.width.bit_length(), -(-shapes.width // LANES_OF_A_COPY), name="room")
        many, some = left[shapes.lane_bits : -1].any(), left[: shapes.lane_bits]
        in_line = Mux(many, shapes.width, some) & (~left[-1]).replicate(shapes.width.bit_length())
        m.d.sync += [left.eq(numbers.quota - before_line), *(room.eq(in_line) for room in rooms)]
        tags = delayed(m, tags, 2, name="roomy", resets=True)
        numbers = delayed(m, numbers, 2, name="numbers_roomy")

        # Keep.
        larger = delayed(m, compare.larger, count_stages + 3, name="larger")
        equal = delayed(m, equal, count_stages + 3, name="equal")
        before = delayed(m, equals.before, 3, name="before")
        marks = Signal(shapes.width, reset_less=True)
        for lane in range(shapes.width):
            stays = before[lane] < rooms[lane // LANES_OF_A_COPY]
            m.d.sync += marks[lane].eq(larger[lane] | (equal[lane] & stays))
        tags = delayed(m, tags, 1, name="kept", resets=True)
        numbers = delayed(m, numbers, 1, name="numbers_kept")
        lanes = delayed(m, lanes, count_stages + 4, name="lanes_kept")

        # Compact.
        m.d.comb += [
            compactor.marks.eq(marks),
            compactor.valid.eq(tags.issued),
            compactor.first.eq(tags.first),
            compactor.last.eq(tags.last),
        ]
        for lane in range(shapes.width):
            score = lanes[lane * shapes.bits : (lane + 1) * shapes.bits]
            index = Cat(Const(lane, shapes.lane_bits), numbers.line)
            m.d.comb += compactor.lanes[lane].eq(Cat(score, index))
        keep = delayed(m, numbers.keep_less_one, compact_cycles, name="keep")
        retired = delayed(m, tags.issued, compact_cycles, name="retired", resets=True)

        # Mask. The line that is flushed behind the last one still finds the numbers of its row.
        final = delayed(m, compactor.line == keep[shapes.lane_bits :], 1, name="at_keep")
        last_lane = keep[: shapes.lane_bits]
        last_count = delayed(m, last_lane + 1, 1, name="last_count")
        kept = Cat(reaches(last_lane, lane) for lane in range(shapes.width))
        kept = delayed(m, kept, 1, name="lane_kept")
        counted = delayed(m, kept | (~final).replicate(shapes.width), 1, name="lane_counted")
        out = delayed(m, compactor.line_lanes, 2, name="masked")
        m.d.comb += [
            store.issued.eq(issued),
            store.retired.eq(delayed(m, retired, 2, name="retired_masked", resets=True)),
            store.line_valid.eq(delayed(m, compactor.line_valid, 2, name="masked_valid", resets=True)),
            store.line.last.eq(delayed(m, final, 1, name="final")),
            store.line["count"].eq(delayed(m, Mux(final, last_count, shapes.width), 1, name="masked_count")),
            self.stored.eq(store.level),
        ]
        for lane in range(shapes.width):
            shown = element(out[lane])
            m.d.comb += [
                store.line.scores[lane].eq(Mux(counted[lane], shown.score, 0)),
                store.line.indices[lane].eq(Mux(counted[lane], shown.index, 0)),
            ]
        connect(m, store.kept, flipped(self.kept))
        return m
