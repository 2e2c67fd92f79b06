"""AXI4 write master: transfers of any length and their beats in, an answer to each transfer out."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.write_master import WriteMaster as Parameters
from accelsim_rtl.axi.channels import write_channels
from accelsim_rtl.axi.cutter import Cutter, transfer_layout


class WriteMaster(Component):
    """requests: address and number of beats of a transfer. beats: its data. done: 1 if something went wrong.

    m_axi_aw, m_axi_w, m_axi_b: the bus. Probe: level (bursts without an answer). Latency: a clock before an
    address, another before its data, a clock behind the last answer. Throughput: a beat a clock. Data never
    waits until its address is taken: a bus may take an address only when it sees the data (A3.3.1).
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        super().__init__(
            {
                "requests": In(stream.Signature(transfer_layout(parameters))),
                "beats": In(stream.Signature(parameters.data_bits)),
                "done": Out(stream.Signature(1)),
                **write_channels(parameters.port, "m_axi"),
                "level": Out(range(parameters.outstanding + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, address = self.parameters, self.m_axi_aw.payload
        bursts = range(parameters.outstanding)

        m.submodules.cutter = cutter = Cutter(parameters)
        wiring.connect(m, wiring.flipped(self.requests), cutter.requests)
        burst = cutter.bursts.payload
        # A burst is under way from the clock on in which its address is first offered.
        room = Signal()
        offered = Signal()
        begins = Signal()
        m.d.comb += [
            room.eq(self.level != parameters.outstanding),
            begins.eq(cutter.bursts.valid & ~offered & room),
            self.m_axi_aw.valid.eq(begins | offered),
            cutter.bursts.ready.eq(self.m_axi_aw.ready & self.m_axi_aw.valid),
            address.addr.eq(burst.address),
            address.len.eq(burst.beats - 1),
        ]
        m.d.sync += offered.eq(self.m_axi_aw.valid & ~self.m_axi_aw.ready)

        # Of bursts under way their lengths, for their data, and which of them end a transfer.
        newest = Signal(bursts)
        sending = Signal(bursts)
        oldest = Signal(bursts)
        # Words of no bits are no memory.
        m.submodules.lengths = lengths = Memory(
            shape=range(max(2, parameters.burst_beats)), depth=len(bursts), init=[]
        )
        m.submodules.finals = finals = Memory(shape=1, depth=len(bursts), init=[])
        length, final = lengths.write_port(), finals.write_port()
        wanted, answered = lengths.read_port(domain="comb"), finals.read_port(domain="comb")
        m.d.comb += [
            length.en.eq(begins),
            length.addr.eq(newest),
            length.data.eq(burst.beats - 1),
            final.en.eq(begins),
            final.addr.eq(newest),
            final.data.eq(burst.last),
            wanted.addr.eq(sending),
            answered.addr.eq(oldest),
        ]

        # Data goes straight through.
        sent = Signal(range(parameters.burst_beats))
        unsent = Signal(range(parameters.outstanding + 1))
        sends = Signal()
        finishes = Signal()
        m.d.comb += [
            self.m_axi_w.valid.eq((unsent != 0) & self.beats.valid),
            self.m_axi_w.payload.data.eq(self.beats.payload),
            self.m_axi_w.payload.strb.eq(~0),
            self.m_axi_w.payload.last.eq(sent == wanted.data),
            self.beats.ready.eq((unsent != 0) & self.m_axi_w.ready),
            sends.eq(self.m_axi_w.valid & self.m_axi_w.ready),
            finishes.eq(sends & self.m_axi_w.payload.last),
        ]
        with m.If(sends):
            m.d.sync += sent.eq(sent + 1)
        with m.If(finishes):
            m.d.sync += sent.eq(0)

        # Answers, and of the last one of a transfer its own.
        failed = Signal()
        answers = Signal()
        m.d.comb += [
            self.m_axi_b.ready.eq(~self.done.valid | self.done.ready),
            answers.eq(self.m_axi_b.valid & self.m_axi_b.ready),
        ]
        wrong = failed | self.m_axi_b.payload.resp[1]
        with m.If(self.m_axi_b.ready):
            m.d.sync += [self.done.valid.eq(answers & answered.data), self.done.payload.eq(wrong)]
        with m.If(answers):
            m.d.sync += failed.eq(wrong & ~answered.data)
        m.d.sync += [
            newest.eq(newest + begins),
            sending.eq(sending + finishes),
            oldest.eq(oldest + answers),
            unsent.eq(unsent + begins - finishes),
            self.level.eq(self.level + begins - answers),
        ]
        return m
