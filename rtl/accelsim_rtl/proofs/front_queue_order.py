"""A queue with its oldest word in a register: words leave as they came, and its registers say what is true.

Which word is watched is drawn, so that what holds for it holds for all.
"""

from amaranth.hdl import Array, Assert, Assume, Module, Signal

from accelsim_rtl.front_queue import FrontQueue
from accelsim_rtl.proofs.watching import Harness


class FrontQueueOrder(Harness):
    """Around a queue that is asked for nothing it cannot do. Taps: its pointers and its memory."""

    def __init__(self, queue: FrontQueue):
        self.depth = queue.depth
        taps = {f"stored_{place}": (f"memory[{place}]", len(queue.word)) for place in range(queue.depth)} | {
            name: (name, range(queue.depth)) for name in ("produce", "follows")
        }
        super().__init__(queue, drawn={"watch": 1}, taps=taps)

    def claim(self, m: Module):
        super().claim(m)
        m.d.comb += [
            Assume(self.room | ~self.puts),
            Assume(self.some | ~self.takes),
        ]

        # How many are inside, and what is said of that.
        inside = Signal(range(self.depth + 1))
        m.d.sync += inside.eq(inside + self.puts - self.takes)
        m.d.comb += [
            Assert(self.level == inside),
            Assert(inside <= self.depth),
            Assert(self.some == (inside != 0)),
            Assert(self.room == (inside != self.depth)),
            Assert((self.produce + 1) % self.depth == (self.follows + inside) % self.depth),
        ]

        # The watched word, and how many are before it.
        watched = Signal.like(self.word)
        waits, before = Signal(), Signal(range(self.depth))
        with m.If(self.puts & self.watch & ~waits):
            m.d.sync += [watched.eq(self.word), waits.eq(1), before.eq(inside - self.takes)]
        with m.If(waits & self.takes):
            m.d.sync += before.eq(before - 1)
            with m.If(before == 0):
                m.d.sync += waits.eq(0)
        stored = Array(getattr(self, f"stored_{place}") for place in range(self.depth))
        with m.If(waits):
            m.d.comb += Assert(before < inside)
            with m.If(before == 0):
                m.d.comb += Assert(self.oldest == watched)
            with m.Else():
                m.d.comb += Assert(stored[(self.follows + before - 1) % self.depth] == watched)
