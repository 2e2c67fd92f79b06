"""What a product of SAT's machine asks to be read: a request that waits stays as it is."""

from amaranth.hdl import Assume, Module, Signal

from accelsim_rtl.proofs.watching import Harness, stays
from accelsim_rtl.sat.reads import Reads


class SteadyRequests(Harness):
    """Around the reads of a product. Assumed: a job begins when nothing of the last one is asked for, and
    stays; a buffer has room until a half of it is wanted."""

    def __init__(self, reads: Reads):
        super().__init__(reads)

    def claim(self, m: Module):
        super().claim(m)
        m.d.comb += [Assume(stays(m, self.job)), Assume(~self.begins | ~self.requests.valid)]
        for side in ("west", "north"):
            room, reserves = (getattr(self, f"{side}_{what}") for what in ("room", "reserves"))
            left = Signal(name=f"{side}_left")
            m.d.sync += left.eq(room & ~reserves)
            m.d.comb += Assume(~left | room)
