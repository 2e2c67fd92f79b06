"""What holds behind the AXI masters if the bus answers what it was asked for, and nothing else."""

from amaranth.hdl import Array, Assert, Assume, Module, Mux, Signal

from accelsim_rtl.axi.read_master import ReadMaster
from accelsim_rtl.axi.reorder_buffer import ReorderBuffer
from accelsim_rtl.axi.write_master import WriteMaster
from accelsim_rtl.proofs.watching import Harness


class Ordered(Harness):
    """Around whatever has a reorder buffer: the bus answers what it was asked for, and counts agree.

    inside: name of the buffer within the unit, with a dot, or nothing. Taps: pointers, counts, lengths.
    """

    def __init__(self, unit, buffer: ReorderBuffer, inside: str, **others):
        self.bursts, self.places = range(buffer.bursts), range(buffer.beats)
        taps = {"at": (f"{inside}given", self.places)} if buffer.beats > 1 else {}
        for burst in self.bursts:
            taps[f"count_{burst}"] = (f"{inside}count_{burst}", range(buffer.beats + 1))
            if buffer.beats > 1:
                taps[f"length_{burst}"] = (f"{inside}length_{burst}", self.places)
        super().__init__(unit, drawn={"watch": 1}, taps=taps | others)

    def agree(self, m: Module, *, oldest, level, number, arrives, burst, valid):
        """Assume that a beat comes only for a burst that misses one; assert what counts and pointers are."""
        count, single = len(self.bursts), len(self.places) == 1
        self.counts = Array(getattr(self, f"count_{burst}") for burst in self.bursts)
        self.lengths = Array(0 if single else getattr(self, f"length_{burst}") for burst in self.bursts)
        self.place = 0 if single else self.at
        counts, lengths, place = self.counts, self.lengths, self.place

        def active(one):
            return (one - oldest) % count < level

        self.active = active
        m.d.comb += [
            Assume(~arrives | (active(burst) & (counts[burst] <= lengths[burst]))),
            Assert(level <= count),
            Assert(number == (oldest + level) % count),
            Assert(~valid | (active(oldest) & (place < counts[oldest]))),
            Assert(Mux(level == 0, place == 0, place <= lengths[oldest])),
        ]
        for one in self.bursts:
            m.d.comb += Assert(Mux(active(one), counts[one] <= lengths[one] + 1, counts[one] == 0))


class ReadBus(Ordered):
    """Around a read master: the stream rule, of the bus it is assumed that it answers what it was asked for.

    Transfers have a beat at least.
    """

    def __init__(self, master: ReadMaster):
        bursts = range(master.parameters.outstanding)
        super().__init__(
            master,
            master.order,
            "order.",
            oldest=("order.oldest", bursts),
            number=("order.number", bursts),
        )

    def claim(self, m: Module):
        super().claim(m)
        self.agree(
            m,
            oldest=self.oldest,
            level=self.level,
            number=self.number,
            arrives=self.m_axi_r.valid,
            burst=self.m_axi_r.payload.id,
            valid=self.beats.valid,
        )


class ReorderedBeats(Ordered):
    """Around a reorder buffer: a watched beat leaves as it came, and nothing behind it leaves before it.

    Taps: the memory too. Assumed: a burst gets a number only if there is room.
    """

    def __init__(self, buffer: ReorderBuffer):
        cells = range(buffer.bursts * buffer.beats)
        super().__init__(
            buffer, buffer, "", **{f"stored_{cell}": (f"beats[{cell}]", buffer.shape) for cell in cells}
        )

    def claim(self, m: Module):
        super().claim(m)
        self.agree(
            m,
            oldest=self.oldest,
            level=self.level,
            number=self.number,
            arrives=self.arrives,
            burst=self.burst,
            valid=self.given.valid,
        )
        counts, at, active, count = self.counts, self.place, self.active, len(self.bursts)
        m.d.comb += [
            Assume(~self.reserves | self.room),
            Assert(self.given.payload.last == (at == self.lengths[self.oldest])),
        ]

        # The watched beat: until it leaves it lies in its place, and what leaves stands before it.
        follows = Signal()
        watched = Signal(self.dut.shape)
        burst, place = Signal(self.bursts), Signal(self.places)
        with m.If(self.arrives & self.watch & ~follows):
            m.d.sync += [
                follows.eq(1),
                watched.eq(self.beat),
                burst.eq(self.burst),
                place.eq(counts[self.burst]),
            ]
        stored = Array(getattr(self, f"stored_{cell}") for cell in range(count * len(self.places)))
        with m.If(follows):
            m.d.comb += [
                Assert(active(burst) & (place < counts[burst])),
                Assert((burst != self.oldest) | (at <= place)),
                Assert(stored[burst * len(self.places) + place] == watched),
            ]
            with m.If(self.given.valid & (burst == self.oldest) & (at == place)):
                m.d.comb += Assert(self.given.payload.beat == watched)
                with m.If(self.given.ready):
                    m.d.sync += follows.eq(0)


class WrittenBursts(Harness):
    """Around a write master: a watched burst has as many beats as its address said, the last one marked.

    Taps: pointers and lengths. Assumed: a burst is answered once, when its address and all its beats are out;
    transfers have a beat at least.
    """

    def __init__(self, master: WriteMaster):
        bursts = range(master.parameters.outstanding)
        taps = {name: (name, bursts) for name in ("newest", "sending", "oldest")}
        taps |= {"unsent": ("unsent", range(len(bursts) + 1))}
        taps |= {"sent": ("sent", range(master.parameters.burst_beats)), "offered": ("offered", 1)}
        taps |= {"there": ("cutter.bursts__valid", 1)}
        taps |= {"left": ("cutter.left", len(master.requests.payload.as_value()))}
        for burst in bursts:
            taps[f"length_{burst}"] = (f"lengths[{burst}]", range(master.parameters.burst_beats))
        super().__init__(master, drawn={"watch": 1}, taps=taps)

    def claim(self, m: Module):
        super().claim(m)
        bursts, parameters = self.dut.parameters.outstanding, self.dut.parameters
        lengths = Array(getattr(self, f"length_{burst}") for burst in range(bursts))
        m.d.comb += [
            Assume(~self.m_axi_b.valid | (self.level != Mux(self.unsent == 0, self.offered, self.unsent))),
            Assume(~self.requests.valid | (self.requests.payload.beats != 0)),
            Assert(self.level <= bursts),
            Assert(self.unsent <= self.level),
            Assert(self.newest == (self.oldest + self.level) % bursts),
            Assert(self.newest == (self.sending + self.unsent) % bursts),
            Assert(Mux(self.unsent == 0, self.sent == 0, self.sent <= lengths[self.sending])),
            # The newest burst is the one whose address is on offer, and its length is known.
            Assert(~self.offered | (self.there & (self.level != 0))),
            # Of the transfer something is left.
            Assert(~self.there | ((self.left >> parameters.address_bits) != 0)),
        ]
        begins = self.m_axi_aw.valid & ~self.offered
        sends = self.m_axi_w.valid & self.m_axi_w.ready

        # A burst is under way once, however long its address waits.
        under_way = Signal.like(self.level)
        m.d.sync += under_way.eq(under_way + begins - (self.m_axi_b.valid & self.m_axi_b.ready))
        m.d.comb += Assert(self.level == under_way)

        follows = Signal()
        length, before = Signal(range(parameters.burst_beats)), Signal(range(bursts + 1))
        burst = Signal(range(bursts))
        with m.If(begins & self.watch & ~follows):
            m.d.sync += [
                follows.eq(1),
                length.eq(self.m_axi_aw.payload.len),
                before.eq(self.unsent - (sends & self.m_axi_w.payload.last)),
                burst.eq(self.newest),
            ]
        with m.If(follows):
            m.d.comb += [
                Assert(before < self.unsent),
                Assert(burst == (self.sending + before) % bursts),
                Assert(lengths[burst] == length),
            ]
            with m.If(sends & (before == 0)):
                m.d.comb += Assert(self.m_axi_w.payload.last == (self.sent == length))
            with m.If(sends & self.m_axi_w.payload.last):
                m.d.sync += before.eq(before - 1)
                with m.If(before == 0):
                    m.d.sync += follows.eq(0)
