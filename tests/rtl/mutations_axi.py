"""Bugs of the units between streams and a bus: the part of the mutation table with AXI in it."""

from mutants import Bug

# (unit, settings, what goes wrong, the bugs, the comparisons that must see it)
MUTATIONS = [
    (
        "axi.read_master",
        [],
        "wrong side: a burst of full length crosses the end of a page",
        [
            Bug(
                "accelsim_rtl.axi.cutter",
                "most.eq(Mux(room < longest, room, longest))",
                "most.eq(longest)",
            )
        ],
        {"rows", "bus"},
    ),
    (
        "axi.read_master",
        [],
        "wrong order: beats leave as they come, under the numbers of others",
        [Bug("accelsim_rtl.axi.read_master", "order.burst.eq(received.id)", "order.burst.eq(order.oldest)")],
        {"rows", "beats", "rule"},
    ),
    (
        "axi.read_master",
        [],
        "back-pressure: a burst is asked for without room for its beats",
        [Bug("accelsim_rtl.axi.reorder_buffer", "self.level != self.bursts", "1")],
        {"rows", "beats", "rule"},
    ),
    (
        "axi.read_master",
        [],
        "wrong bit: an error is not told",
        [
            Bug(
                "accelsim_rtl.axi.read_master",
                "order.beat.error.eq(received.resp[1])",
                "order.beat.error.eq(0)",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "axi.read_master",
        [],
        "latency off by one in cycles()",
        [Bug("accelsim.units.read_master", "asked = max(asked, 1)", "asked = max(asked, 2)")],
        {"cycles"},
    ),
    (
        "axi.write_master",
        [],
        "lost beat: the last beat of a burst is marked one too early",
        [
            Bug(
                "accelsim_rtl.axi.write_master",
                "last.eq(sent == wanted.data)",
                "last.eq(sent + 1 == wanted.data)",
            )
        ],
        {"rows", "beats", "rule", "bus", "memory"},
    ),
    (
        "axi.write_master",
        [],
        "protocol: an address is offered once the bus takes it, and data waits for that",
        [
            Bug(
                "accelsim_rtl.axi.write_master",
                "begins.eq(cutter.bursts.valid & ~offered & room)",
                "begins.eq(cutter.bursts.valid & ~offered & room & self.m_axi_aw.ready)",
            )
        ],
        {"rows"},
    ),
    (
        "axi.write_master",
        [],
        "back-pressure: an answer is dropped while the sink waits",
        [
            Bug(
                "accelsim_rtl.axi.write_master",
                "self.m_axi_b.ready.eq(~self.done.valid | self.done.ready)",
                "self.m_axi_b.ready.eq(1)",
            )
        ],
        {"rows", "rule", "beats"},
    ),
    (
        "axi.write_master",
        [],
        "wrong bit: an error of the transfer before stays",
        [Bug("accelsim_rtl.axi.write_master", "failed.eq(wrong & ~answered.data)", "failed.eq(wrong)")],
        {"rows", "beats"},
    ),
    (
        "axi.write_master",
        [],
        "wrong address, the same in RTL and step model",
        [
            Bug(
                "accelsim_rtl.axi.cutter",
                "left.address + Cat(Const(0, offset_bits), burst.beats)",
                "left.address + (burst.beats << offset_bits + 1)",
            ),
            Bug(
                "accelsim.units.axi",
                "transfer.address + burst * port.bytes",
                "transfer.address + burst * port.bytes * 2",
            ),
        ],
        {"cycles", "memory"},
    ),
    (
        "axi.registers",
        [],
        "wrong side: strobes are read from the highest byte on",
        [
            Bug(
                "accelsim_rtl.axi.registers",
                "for strobe in write.strb)",
                "for strobe in write.strb[::-1])",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "axi.registers",
        [],
        "a word beyond the last is answered as if it were there, the same in RTL and step model",
        [
            Bug(
                "accelsim_rtl.axi.registers",
                "s_axil_r.payload.resp.eq((asked >= len(words)) * SLAVE_ERROR)",
                "s_axil_r.payload.resp.eq(0)",
            ),
            Bug("accelsim.units.registers", "return SLAVE_ERROR << WORD_BITS", "return 0"),
        ],
        {"beats"},
    ),
    (
        "axi.registers",
        [],
        "lost beat: an answer is replaced while it waits",
        [
            Bug(
                "accelsim_rtl.axi.registers",
                "self.s_axil_ar.ready.eq(~self.s_axil_r.valid | self.s_axil_r.ready)",
                "self.s_axil_ar.ready.eq(1)",
            )
        ],
        {"rows", "rule", "beats"},
    ),
    (
        "axi.registers",
        [],
        "a write does not set a counter to 0",
        [Bug("accelsim_rtl.axi.registers", "counts[part.signal].eq(0)", "counts[part.signal].eq(1)")],
        {"rows", "beats"},
    ),
]
