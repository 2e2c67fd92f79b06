"""The score accumulator keeps the stream rule: lines that wait for the sink are never overwritten, because
room is promised to a line before it is read.
"""

from amaranth.hdl import Assert, Module

from accelsim.units.score_accumulator import STORE_LINES
from accelsim_rtl.proofs.watching import Harness
from accelsim_rtl.score_accumulator import ScoreAccumulator
from accelsim_rtl.topk.memory import READ_LATENCY


class ScoreAccumulatorStore(Harness):
    """Around a score accumulator. Taps: pointers, promises and lines on their way, for the invariants."""

    def __init__(self, accumulator: ScoreAccumulator):
        self.arrivals = [f"arrives_{cycle}" for cycle in range(1, READ_LATENCY + 1)]
        taps = {name: (name, 1) for name in self.arrivals}
        taps |= {
            "produce": ("produce", range(STORE_LINES)),
            "consume": ("consume", range(STORE_LINES)),
        }
        super().__init__(accumulator, taps=taps | {"promised": ("promised", range(STORE_LINES + 1))})

    def claim(self, m: Module):
        super().claim(m)
        on_their_way = sum(getattr(self, name) for name in self.arrivals)
        m.d.comb += [
            Assert(self.promised <= STORE_LINES),
            Assert(self.promised == self.stored + on_their_way),
            Assert(self.produce == (self.consume + self.stored) % STORE_LINES),
        ]
