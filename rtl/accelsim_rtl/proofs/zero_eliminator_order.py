"""The zero eliminator keeps order and count: a watched element leaves after those before it and no later, and
a group's last row leaves with the group's last element.

Which element and which group are watched is drawn, so that what holds for them holds for all.
"""

from dataclasses import dataclass

from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data

from accelsim_rtl.proofs.watching import Harness
from accelsim_rtl.zero_eliminator import ZeroEliminator, kept_layout


@dataclass(frozen=True)
class _Part:
    """Elements in flight, in their order: `count` of them; `ends`, a group ends behind them."""

    count: Value
    ends: Value


class ZeroEliminatorOrder(Harness):
    """Around a zero eliminator of 2 lanes or more, with few registers (or, of 2 lanes, with many).

    Taps: every register of the pipeline. What is in flight lies, from the output on, in the two rows of the
    queue, in the join register, and in the stages; the invariants say where in them the watched element is.
    """

    def __init__(self, dut: ZeroEliminator):
        parameters = dut.parameters
        self.lanes = parameters.lanes
        self.stages = [f"exchanged_{parameters.layers - 1}"]
        self.stages += ["sent"] if parameters.registers == "max_frequency" else []
        places = parameters.layers + 1
        lane = data.StructLayout({"element": parameters.bits, "keep": 1, "place": places})
        end = data.StructLayout(
            {"total": places, "last": 1, "valid": 1, "completes_one": 1, "completes_two": 1}
        )
        slot = data.StructLayout({"row": kept_layout(parameters), "valid": 1})
        taps = {"head": ("head", slot), "tail": ("tail", slot), "fill": ("fill", range(self.lanes))}
        for number in range(self.lanes):
            taps[f"held_{number}"] = (f"held_{number}", parameters.bits)
        for stage in [*self.stages, "counted"]:
            taps[f"{stage}_end"] = (f"{stage}_end", end)
            taps |= {f"{stage}_{number}": (f"{stage}_{number}", lane) for number in range(self.lanes)}
        super().__init__(dut, drawn={"watch": range(2 * self.lanes), "watch_end": 1}, taps=taps)

    def claim(self, m: Module):
        super().claim(m)
        self.counts = range(2 * self.lanes * (len(self.stages) + 3))
        self.enters, self.leaves = Signal(), Signal()
        row = self.kept.payload
        m.d.comb += [
            self.enters.eq(self.rows.valid & self.rows.ready),
            self.leaves.eq(self.kept.valid & self.kept.ready),
        ]

        # Rows are full but for a group's last one, and zero beyond their count.
        with m.If(self.kept.valid):
            self._row_is_whole(m, row)

        # Kept elements that went in and did not come out.
        inside = Signal(self.counts)
        leaving = Mux(self.leaves, row.count, 0)
        kept = sum(self.rows.payload.keep)
        m.d.sync += inside.eq(inside + Mux(self.enters, kept, 0) - leaving)

        element, before, follows = self._followed_element(m, inside, leaving)
        ends_before, elements_before, awaits = self._followed_end(m, inside + kept, leaving)
        parts = [self._counted(m, part) for part in self._registers_agree(m)]
        m.d.comb += [
            Assert(sum(part.count for part in parts) == inside),
            Assert(sum(part.ends for part in parts) == self.ends),
        ]
        with m.If(follows):
            m.d.comb += Assert(before < inside)
            self._element_stands(m, element, before, parts)
        with m.If(awaits):
            self._end_stands(m, ends_before, elements_before, parts)

    def _row_is_whole(self, m: Module, row):
        m.d.comb += Assert((row.count == self.lanes) | (row.last & (row.count < self.lanes)))
        for number in range(self.lanes):
            m.d.comb += Assert((number < row.count) | (row.elements[number] == 0))

    def _counted(self, m: Module, part: _Part) -> _Part:
        """The same as signals that are no wider than need be."""
        named = _Part(Signal(self.counts), Signal())
        m.d.comb += [named.count.eq(part.count), named.ends.eq(part.ends)]
        return named

    def _followed_element(self, m: Module, inside, leaving):
        """A kept element, drawn as it enters, and how many are before it; checked as it leaves."""
        rows, row = self.rows.payload, self.kept.payload
        element, before, follows = Signal(self.dut.parameters.bits), Signal(self.counts), Signal()
        with m.If(follows & self.leaves):
            with m.If(before < row.count):
                m.d.comb += Assert(self._of(row.elements, before) == element)
                m.d.sync += follows.eq(0)
            m.d.sync += before.eq(before - row.count)
        for number in range(self.lanes):
            with m.If(self.enters & rows.keep[number] & (self.watch == number) & ~follows):
                m.d.sync += [
                    element.eq(rows.elements[number]),
                    before.eq(inside - leaving + sum(rows.keep[lane] for lane in range(number))),
                    follows.eq(1),
                ]
        return element, before, follows

    def _followed_end(self, m: Module, inside, leaving):
        """The end of a group, drawn as it enters: how many other ends and how many elements are before it."""
        row = self.kept.payload
        ends = Signal(range(8))
        enters_end, leaves_end = Signal(), Signal()
        m.d.comb += [
            enters_end.eq(self.enters & self.rows.payload.last),
            leaves_end.eq(self.leaves & row.last),
        ]
        m.d.sync += ends.eq(ends + enters_end - leaves_end)
        self.ends = ends
        ends_before, elements_before, awaits = Signal(range(8)), Signal(self.counts), Signal()
        with m.If(awaits & self.leaves):
            m.d.sync += elements_before.eq(elements_before - row.count)
            with m.If(row.last):
                m.d.sync += ends_before.eq(ends_before - 1)
                with m.If(ends_before == 0):
                    m.d.comb += Assert(elements_before == row.count)
                    m.d.sync += awaits.eq(0)
        with m.If(enters_end & self.watch_end & ~awaits):
            m.d.sync += [
                ends_before.eq(ends - leaves_end),
                elements_before.eq(inside - leaving),
                awaits.eq(1),
            ]
        return ends_before, elements_before, awaits

    def _registers_agree(self, m: Module) -> list[_Part]:
        """Invariants of the registers by themselves; gives what each of them holds, from the output on."""
        parts = []
        m.d.comb += Assert(self.head.valid | ~self.tail.valid)
        for slot in (self.head, self.tail):
            with m.If(slot.valid):
                self._row_is_whole(m, slot.row)
            parts.append(_Part(Mux(slot.valid, slot.row.count, 0), slot.valid & slot.row.last))
        m.d.comb += Assert(self.waiting < self.lanes)
        parts.append(_Part(self.waiting, Value.cast(0)))

        waits = self.waiting
        for stage in self.stages:
            end, lanes = self._stage(stage)
            kept = sum(lane.keep for lane in lanes)
            full, rest = end.total >= self.lanes, end.total % self.lanes
            m.d.comb += [
                Assert(end.completes_one == end.valid & (full | end.last)),
                Assert(end.completes_two == end.valid & end.last & full & (rest != 0)),
            ]
            with m.If(end.valid):
                m.d.comb += Assert(end.total == waits + kept)
                for number, lane in enumerate(lanes):
                    ahead = waits + sum(other.keep for other in lanes[:number])
                    in_turn = lane.place == ahead
                    at_home = (
                        (lane.place % self.lanes == number) & (lane.place >= waits) & (lane.place < end.total)
                    )
                    m.d.comb += Assert(~lane.keep | (in_turn if stage == "sent" else at_home))
            parts.append(_Part(Mux(end.valid, kept, 0), end.valid & end.last))
            after = Mux(end.last, 0, end.total[: self.dut.parameters.layers])
            waits = Mux(end.valid, after, waits)
        m.d.comb += Assert(self.fill == waits)

        end, lanes = self._stage("counted")
        for number, lane in enumerate(lanes):
            m.d.comb += Assert(~end.valid | (lane.place == sum(other.keep for other in lanes[: number + 1])))
        parts.append(_Part(Mux(end.valid, sum(lane.keep for lane in lanes), 0), end.valid & end.last))
        return parts

    def _element_stands(self, m: Module, element, before, parts: list[_Part]):
        """The watched element is where its turn says."""
        held = [getattr(self, f"held_{number}") for number in range(self.lanes)]
        places = [self.head.row.elements, self.tail.row.elements, held]
        start = Const(0)
        for elements, part in zip(places, parts[:3], strict=True):
            with m.If((before >= start) & (before < start + part.count)):
                m.d.comb += Assert(self._of(elements, before - start) == element)
            start = self._sum(m, start, part.count)
        waits = self.waiting
        for stage, part in zip([*self.stages, "counted"], parts[3:], strict=True):
            end, lanes = self._stage(stage)
            for lane in lanes:
                turn = lane.place - (1 if stage == "counted" else waits)
                with m.If(end.valid & lane.keep & (before == start + turn)):
                    m.d.comb += Assert(lane.element == element)
            start = self._sum(m, start, part.count)
            after = Mux(end.last, 0, end.total[: self.dut.parameters.layers])
            waits = Mux(end.valid, after, waits)

    def _end_stands(self, m: Module, ends_before, elements_before, parts: list[_Part]):
        """As many ends are before the watched one as were, and as many elements."""
        ends, elements = Value.cast(0), Value.cast(0)
        for part in parts:
            elements = self._sum(m, elements, part.count)
            with m.If(part.ends & (ends == ends_before)):
                m.d.comb += Assert(elements == elements_before)
            ends = ends + part.ends
        m.d.comb += Assert(ends_before < ends)

    def _stage(self, stage: str):
        return (
            getattr(self, f"{stage}_end"),
            [getattr(self, f"{stage}_{number}") for number in range(self.lanes)],
        )

    def _sum(self, m: Module, *terms):
        total = Signal(self.counts)
        m.d.comb += total.eq(sum(terms))
        return total

    def _of(self, elements, place):
        """The element at a place that is computed."""
        chosen = Cat(elements[0]) if isinstance(elements, list) else elements[0]
        for number in range(1, self.lanes):
            chosen = Mux(place == number, elements[number], chosen)
        return chosen
