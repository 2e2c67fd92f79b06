"""Radix threshold select: digit by digit from the top, how many scores reach each value of the digit.

Every pass reads all lines of the row, so the time depends on the number of scores alone; nothing is
partitioned, and the loader's bank is the only memory.
"""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accelsim_rtl.topk.adders import added, counted, reaches
from accelsim_rtl.topk.memory import READ_LATENCY
from accelsim_rtl.topk.pipeline import delayed
from accelsim_rtl.topk.shapes import Shapes

LANES_OF_A_GROUP = 4


class RadixSelect(wiring.Component):
    """idle: there is no row, and its numbers are taken every cycle, the last time in that of `start`, when
    they are right. found: kth and quota are right, for one cycle.

    read_line, and read_bits two cycles later: the loader's bank. passes: begun so far.
    latency: passes * (lines - 1 + `pass_cycles`) + 2 cycles, from one cycle after `start` to `found`.
    """

    def __init__(self, parameters, *, target=None):
        self.parameters, self.shapes = parameters, Shapes(parameters)
        shapes = self.shapes
        super().__init__(
            {
                "idle": In(1),
                "start": In(1),
                "row_count_less_one": In(shapes.index_bits),
                "row_target": In(shapes.index_bits),
                "read_line": Out(shapes.line_bits),
                "read_bits": In(shapes.width * shapes.bits),
                "found": Out(1),
                "kth": Out(shapes.bits),
                "quota": Out(shapes.count_bits),
                "passes": Out(shapes.pass_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shapes, digits, digit_bits = self.shapes, self.parameters.digits, self.parameters.digit_bits
        count_less_one = Signal(shapes.index_bits, reset_less=True)
        last_line, last_lane = count_less_one[shapes.lane_bits :], count_less_one[: shapes.lane_bits]
        turn = Signal(digits, reset_less=True)
        found = Signal(digits * digit_bits, reset_less=True)

        # Which lines: all of them in every pass. `turn` has the pass's digit set, the highest one first.
        started = delayed(m, self.start, 1, name="started", resets=True)
        begins, again = Signal(), Signal()
        line = Signal(shapes.line_bits, reset_less=True)
        tags = {name: Signal(name=name) for name in ("valid", "first", "last")}
        m.d.comb += [begins.eq(started | again), self.read_line.eq(line)]
        with m.If(self.idle):
            m.d.sync += [count_less_one.eq(self.row_count_less_one), turn.eq(1 << (digits - 1))]
        with m.Elif(again):
            m.d.sync += turn.eq(turn >> 1)
        with m.If(self.idle):
            m.d.sync += self.passes.eq(0)
        with m.Elif(begins):
            m.d.sync += self.passes.eq(self.passes + 1)
        left = Signal(shapes.line_bits, reset_less=True)
        with m.If(begins):
            m.d.sync += [
                tags["valid"].eq(1),
                tags["first"].eq(1),
                tags["last"].eq(last_line == 0),
            ]
        with m.Elif(tags["valid"]):
            m.d.sync += [
                tags["valid"].eq(~tags["last"]),
                tags["first"].eq(0),
                tags["last"].eq(left == 1),
            ]
        with m.If(tags["valid"]):
            m.d.sync += [left.eq(left - 1), line.eq(line + 1)]
        with m.Else():
            # Ready for whenever a pass begins.
            m.d.sync += [left.eq(last_line), line.eq(0)]

        # Read.
        lanes = delayed(m, self.read_bits, 1, name="lanes")
        tags = {
            name: delayed(m, tag, READ_LATENCY, name=f"read_{name}", resets=True)
            for name, tag in tags.items()
        }
        within = Cat(reaches(last_lane, lane) for lane in range(shapes.width))
        within = delayed(m, within, 1, name="within")
        enabled = Signal(shapes.width)
        for lane in range(shapes.width):
            m.d.sync += enabled[lane].eq(tags["valid"] & (~tags["last"] | within[lane]))
        first, last = (
            delayed(m, tags[name], 1, name=f"lanes_{name}", resets=True) for name in ("first", "last")
        )

        # Match: the digits above are those that were found; and this pass's digit.
        matches = []
        for lane in range(shapes.width):
            score = Cat(lanes[lane * shapes.bits : (lane + 1) * shapes.bits])
            score = Cat(score, Const(0, digits * digit_bits - shapes.bits))
            match = Signal(name=f"match_{lane}", reset_less=True)
            digit = Signal(digit_bits, name=f"digit_{lane}", reset_less=True)
            same, chosen = enabled[lane], Const(0, digit_bits)
            for place in range(digits):
                part = slice(place * digit_bits, (place + 1) * digit_bits)
                if place:
                    # Below the lowest digit there is no pass that knows it.
                    same &= turn[place:].any() | (score[part] == found[part])
                chosen |= Mux(turn[place], score[part], 0)
            m.d.sync += [match.eq(same), digit.eq(chosen)]
            matches.append((match, digit))

        # Reach: does a matching digit reach d, for each d above 0? How many do, in groups, then in pairs.
        base = Signal(signed(shapes.index_bits + 2), reset_less=True)
        latency = 2 + self.parameters.count_stages
        first = delayed(m, first, latency, name="counted_first", resets=True)
        last = delayed(m, last, latency + 1, name="counted_last", resets=True)
        sums = [base]
        for value in range(1, 1 << digit_bits):
            reached = Signal(shapes.width, name=f"reached_{value}", reset_less=True)
            m.d.sync += reached.eq(Cat(match & (digit >= value) for match, digit in matches))
            number = self._count(m, reached, value)
            # Counted down from the target: no longer negative means more than the target.
            total = Signal(base.shape(), name=f"sum_{value}", reset_less=True)
            m.d.sync += total.eq(Mux(first, base, total) + number)
            sums.append(total)

        # Decide: the largest digit that more than `target` scores reach; the rest of the target is below it.
        reached_digits = Cat(Const(1, 1), *(total >= 0 for total in sums[1:]))
        chosen = Signal(1 << digit_bits, reset_less=True)
        for value in range(1 << digit_bits):
            above = reached_digits[value + 1] if value + 1 < 1 << digit_bits else Const(0, 1)
            m.d.sync += chosen[value].eq(reached_digits[value] & ~above)
        m.d.comb += again.eq(last & ~turn[0])
        decided = delayed(m, last, 1, name="decided", resets=True)
        decided_turn = delayed(m, turn, 1, name="decided_turn")
        next_base, next_digit = Const(0, len(base)), Const(0, digit_bits)
        for value in range(1 << digit_bits):
            above = sums[value + 1] if value + 1 < 1 << digit_bits else base
            next_base |= Mux(chosen[value], above.as_unsigned(), 0)
            next_digit |= Mux(chosen[value], value, 0)
        with m.If(self.idle):
            m.d.sync += base.eq(-1 - self.row_target)
        with m.Elif(decided):
            m.d.sync += base.eq(next_base)
            for place in range(digits):
                with m.If(decided_turn[place]):
                    m.d.sync += found[place * digit_bits : (place + 1) * digit_bits].eq(next_digit)

        m.d.comb += [
            self.found.eq(delayed(m, decided & decided_turn[0], 1, name="ended", resets=True)),
            self.kth.eq(found),
            self.quota.eq(-base),
        ]
        return m

    def _count(self, m, marks, value):
        """The number of marks, `count_stages` cycles later."""
        counts = []
        for first in range(0, self.shapes.width, LANES_OF_A_GROUP):
            group = marks[first : first + LANES_OF_A_GROUP]
            counts.append(counted([group[i] for i in range(len(group))]))
        stage = 0
        while True:
            counts = [
                delayed(m, count[: self.shapes.width.bit_length()], 1, name=f"count_{value}_{stage}_{index}")
                for index, count in enumerate(counts)
            ]
            if len(counts) == 1:
                return counts[0]
            counts = [added(m, *counts[i : i + 2], len(counts[i]) + 1) for i in range(0, len(counts), 2)]
            stage += 1
