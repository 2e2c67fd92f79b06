"""What holds of SpAtten's memory side: a fetcher's streams, and the halves of a store."""

from amaranth.hdl import Assert, Assume, Module

from accelsim_rtl.fetcher import Fetcher
from accelsim_rtl.proofs.axi_masters import Ordered
from accelsim_rtl.proofs.watching import Harness
from accelsim_rtl.vector_store import VectorStore


class FetchedBeats(Ordered):
    """Around a fetcher of one channel and one port: the stream rule.

    Of the bus it is assumed that it answers what it was asked for.
    """

    def __init__(self, fetcher: Fetcher):
        slots = range(fetcher.parameters.slots)
        names = {name: (f"order_0.{name}", slots) for name in ("oldest", "number")}
        super().__init__(fetcher, fetcher.orders[0], "order_0.", **names)

    def claim(self, m: Module):
        super().claim(m)
        self.agree(
            m,
            oldest=self.oldest,
            level=self.level,
            number=self.number,
            arrives=self.m_axi_0_r.valid,
            burst=self.m_axi_0_r.payload.id,
            valid=self.dut.beats.valid,
        )


class StoreHalves(Harness):
    """Around a vector store: nothing is written into a half that may be read, but what belongs to it.

    Taps: which half is filled, and with what; which is read. Assumed: least significant parts of a half are
    not told to be free before they are there.
    """

    def __init__(self, store: VectorStore):
        parameters = store.parameters
        taps = {name: (name, 1) for name in ("write_half", "read_half", "filling", "reading")}
        taps |= {"fill": ("fill", len(store.fills.payload.as_value()))}
        super().__init__(store, taps=taps)
        self.count_bits = parameters.count_bits

    def claim(self, m: Module):
        super().claim(m)
        least = self.fill[self.count_bits]
        writes = self.pieces.valid & self.pieces.ready
        fills_first = self.filling & ~least
        m.d.comb += [
            Assume(~self.reads.valid | ~self.reads.payload.releases | ~(self.filling & least)),
            Assert(self.filled <= self.claimed),
            Assert(self.claimed <= 2),
            # Of the claimed halves one at most is not filled: the one that is being filled.
            Assert(self.claimed - self.filled == fills_first),
            Assert((self.write_half ^ self.read_half) == self.filled[0]),
            Assert(~(writes & ~least & (self.filled != 0)) | (self.write_half != self.read_half)),
        ]
