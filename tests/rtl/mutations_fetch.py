"""Bugs of SpAtten's way from memory to its stores: the part of the mutation table with addresses in it."""

from mutants import Bug

# (unit, settings, what goes wrong, the bugs, the comparisons that must see it)
MUTATIONS = [
    (
        "spatten.vector_store",
        [],
        "wrong half: both are read and filled at the same place",
        [Bug("accelsim_rtl.vector_store", "read_half.eq(read_half ^ releases)", "read_half.eq(0)")],
        {"rows", "beats"},
    ),
    (
        "spatten.vector_store",
        [],
        "wrong side: least significant parts replace the whole operand",
        [Bug("accelsim_rtl.vector_store", "here & ~fill.least", "here")],
        {"rows", "beats"},
    ),
    (
        "spatten.vector_store",
        [],
        "what lies beyond the pieces is read, the same in RTL and step model",
        [
            Bug(
                "accelsim_rtl.vector_store",
                "kept.eq(Cat(bank < read.pieces for bank in range(banks)))",
                "kept.eq(~0)",
            ),
            Bug(
                "accelsim.units.vector_store",
                "half[first + bank] if bank < left else 0",
                "half[first + bank]",
            ),
        ],
        {"rows", "beats"},
    ),
    (
        "spatten.vector_store",
        [],
        "back-pressure: a line is replaced while the sink waits",
        [
            Bug(
                "accelsim_rtl.vector_store",
                "& (~self.lines.valid | self.lines.ready)",
                "",
            )
        ],
        {"rows", "beats", "rule"},
    ),
    (
        "spatten.vector_store",
        [],
        "latency off by one in cycles()",
        [
            Bug(
                "accelsim.units.vector_store",
                "free = max(free, released[-2] + 1)",
                "free = 1 + max(free, released[-2] + 1)",
            )
        ],
        {"cycles"},
    ),
    (
        "spatten.fetcher",
        [],
        "wrong address: even and odd tokens ask for the same part of a record",
        [Bug("accelsim_rtl.fetcher", "odd.eq(~odd)", "odd.eq(0)")],
        {"rows", "beats"},
    ),
    (
        "spatten.fetcher",
        [],
        "wrong order: a request begins at the port where the one before ended, for its data alone",
        [Bug("accelsim_rtl.fetcher", "gather.eq(Mux(payload.last, 0, gather + 1))", "gather.eq(gather + 1)")],
        {"rows", "beats"},
    ),
    (
        "spatten.fetcher",
        [],
        "back-pressure: a burst is asked for without a slot",
        [
            Bug(
                "accelsim_rtl.fetcher",
                "(left != 0) & Array(order.room for order in self.orders)[deal]",
                "left != 0",
            )
        ],
        {"rows", "beats", "rule"},
    ),
    (
        "spatten.fetcher",
        [],
        "wrong channel, the same in RTL and step model",
        [
            Bug("accelsim_rtl.fetcher", "item[id_bits + parameters.channel_bits :]", "item[id_bits :]"),
            Bug(
                "accelsim.units.fetcher",
                "place = beat >> port.id_bits + parameters.channel_bits",
                "place = beat >> port.id_bits",
            ),
        ],
        {"rows", "beats", "cycles"},
    ),
    (
        "spatten.fetch_stage",
        ["outstanding=16", "slots=64"],
        "latency off by one: an address goes out a clock later than the engine believes",
        [Bug("accelsim_rtl.entries.fetch_stage", "FIRST_CYCLE = 3", "FIRST_CYCLE = 2")],
        {"cycles"},
    ),
    (
        "spatten.fetch_stage",
        ["slots=8"],
        "slots: the engine gives one back a clock before its beat has left",
        [
            Bug(
                "accelsim.accelerators.spatten.fetch_stage",
                "plan.drain[:, 3] = data_cycles",
                "plan.drain[:, 3] = data_cycles - 1",
            )
        ],
        {"cycles"},
    ),
    (
        "spatten",
        [],
        "wrong row: one that is sent again meets the keys without their least significant parts",
        [Bug("accelsim_rtl.spatten.rows", "reads.least.eq(returns),", "reads.least.eq(0),")],
        {"rows", "memory"},
    ),
]
