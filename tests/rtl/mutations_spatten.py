"""Bugs of SpAtten's units from the crossbars to the dot products: the second part of the mutation table."""

from mutants import Bug

# (unit, settings, what goes wrong, the bugs, the comparisons that must see it)
MUTATIONS = [
    (
        "spatten.crossbar",
        [],
        "wrong side: the highest input goes first",
        [
            Bug(
                "accelsim_rtl.crossbar",
                "self.wants & (~self.wants + 1)[:inputs]",
                "(self.wants[::-1] & (~self.wants[::-1] + 1)[:inputs])[::-1]",
            )
        ],
        {"rows"},
    ),
    (
        "spatten.crossbar",
        [],
        "back-pressure: a beat that waits does not keep its output",
        [Bug("accelsim_rtl.crossbar", "Mux(self.locked, held, lowest)", "lowest")],
        {"rows", "rule"},
    ),
    (
        "spatten.crossbar",
        ["outputs=3"],
        "wrong side: a beat for an output that is not there goes nowhere",
        [
            Bug(
                "accelsim_rtl.crossbar",
                "Mux(field >= parameters.outputs, field - parameters.outputs, field)",
                "field",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "spatten.crossbar",
        [],
        "latency off by one in cycles()",
        [Bug("accelsim.units.crossbar", "return int(_run(", "return 1 + int(_run(")],
        {"cycles"},
    ),
    (
        "spatten.bit_width_converter",
        [],
        "wrong side: a least significant part is signed",
        [Bug("accelsim_rtl.bit_width_converter", "element[-1] & ~work.least", "element[-1]")],
        {"rows", "beats"},
    ),
    (
        "spatten.bit_width_converter",
        [],
        "wrong side: the same in RTL and step model",
        [
            Bug("accelsim_rtl.bit_width_converter", "element[-1] & ~work.least", "element[-1]"),
            Bug("accelsim.units.bit_width_converter", "if not request.least:", "if True:"),
        ],
        {"beats"},
    ),
    (
        "spatten.bit_width_converter",
        [],
        "dropped beat: padding is kept and pushes out the next record",
        [Bug("accelsim_rtl.bit_width_converter", "held_after.eq(Mux(ends, 0, ", "held_after.eq(Mux(0, 0, ")],
        {"rows", "beats"},
    ),
    (
        "spatten.bit_width_converter",
        [],
        "back-pressure: a line is replaced before it is taken",
        [
            Bug(
                "accelsim_rtl.bit_width_converter",
                "free = ~self.operands.valid | self.operands.ready",
                "free = 1",
            )
        ],
        {"rows", "beats", "rule"},
    ),
    (
        "spatten.bit_width_converter",
        [],
        "latency off by one: a line waits while the one before it leaves",
        [
            Bug(
                "accelsim_rtl.bit_width_converter",
                "free = ~self.operands.valid | self.operands.ready",
                "free = ~self.operands.valid",
            )
        ],
        {"rows"},
    ),
    (
        "spatten.bit_width_converter",
        [],
        "latency off by one in cycles()",
        [Bug("accelsim.units.bit_width_converter", "(records - 1) * (first - 1)", "(records - 1) * first")],
        {"cycles"},
    ),
    (
        "spatten.exponent",
        [],
        "wrong tie: half goes up, not to the even neighbour",
        [Bug("accelsim_rtl.arithmetic", "guard & (sticky | odd)", "guard")],
        {"rows", "beats"},
    ),
    (
        "spatten.exponent",
        [],
        "wrong side: a distance beyond the farthest wraps",
        [
            Bug(
                "accelsim_rtl.exponent_lane",
                "Mux(self.distance > parameters.farthest, parameters.farthest, self.distance)",
                "self.distance",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "spatten.exponent",
        [],
        "dropped beat: more lines on their way than there is room for",
        [Bug("accelsim_rtl.promised_store", "self.room.eq(promises.room)", "self.room.eq(1)")],
        {"rows", "beats", "rule"},
    ),
    (
        "spatten.exponent",
        [],
        "latency off by one: a line is said to be there a clock later",
        [
            Bug(
                "accelsim_rtl.exponent",
                "delayed(m, issued, self.parameters.latency_cycles,",
                "delayed(m, issued, self.parameters.latency_cycles + 1,",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "spatten.softmax",
        ["form.probability_fraction_bits=3"],
        "wrong tie: a quotient of exactly a half goes up",
        [Bug("accelsim_rtl.divider", "over | (tie & quotient[0])", "over | tie")],
        {"rows", "beats"},
    ),
    (
        "spatten.softmax",
        [],
        "wrong side: a score that does not count may be the largest",
        [
            Bug(
                "accelsim_rtl.softmax",
                "Cat(score[:-1], ~score[-1], counts)",
                "Cat(score[:-1], ~score[-1], 1)",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "spatten.softmax",
        [],
        "wrong side: the largest score of a row stands before the next one",
        [Bug("accelsim_rtl.softmax", "(begins | (level[0] > largest))", "(level[0] > largest)")],
        {"rows", "beats"},
    ),
    (
        "spatten.softmax",
        [],
        "wrong side: the sum goes on into the next row",
        [Bug("accelsim_rtl.softmax", "before.eq(Mux(last, 0, total))", "before.eq(total)")],
        {"rows", "beats"},
    ),
    (
        "spatten.softmax",
        [],
        "dropped beat: exponents come without room for them",
        [Bug("accelsim_rtl.softmax", "scored.next_passable & powered.next_room", "scored.next_passable")],
        {"rows", "beats"},
    ),
    (
        "spatten.softmax",
        [],
        "dropped beat: probabilities set out without room for them",
        [Bug("accelsim_rtl.softmax", "powered.next_passable & store.next_room", "powered.next_passable")],
        {"rows", "beats", "rule"},
    ),
    (
        "spatten.softmax",
        [],
        "wrong side: a row of three lines or more ends with its second",
        [Bug("accelsim_rtl.row_store", "Mux(self.opened, behind == 1, follow == 1)", "1")],
        {"rows", "beats"},
    ),
    (
        "spatten.softmax",
        [],
        "wrong side: a line that comes into an empty store leaves with the last one's word of its row",
        [Bug("accelsim_rtl.front_queue", "Mux(self.level < 2, self.word, read.data)", "read.data")],
        {"rows", "beats"},
    ),
    (
        "spatten.softmax",
        [],
        "latency off by one: a row passes before its last exponent is in the sum",
        [
            Bug(
                "accelsim_rtl.softmax",
                "[total.eq(before + line), powered.knows.eq(last)",
                "[total.eq(before + line), powered.knows.eq(ends)",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "spatten.softmax",
        [],
        "latency off by one in cycles()",
        [Bug("accelsim.units.softmax", "complete = passes[0][-1] +", "complete = 1 + passes[0][-1] +")],
        {"cycles"},
    ),
    (
        "spatten.decision",
        [],
        "wrong tie: a probability at the threshold does not reach it",
        [
            Bug(
                "accelsim_rtl.decision",
                "line.probabilities[lane] >= request",
                "line.probabilities[lane] > request",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "spatten.decision",
        [],
        "wrong tie: the same in RTL and step model",
        [
            Bug(
                "accelsim_rtl.decision",
                "line.probabilities[lane] >= request",
                "line.probabilities[lane] > request",
            ),
            Bug("accelsim.units.decision", "probability >= request", "probability > request"),
        ],
        {"beats", "cycles"},
    ),
    (
        "spatten.decision",
        [],
        "wrong side: only a row's last line is looked at",
        [Bug("accelsim_rtl.decision", "before | reached.any()", "reached.any()")],
        {"rows", "beats"},
    ),
    (
        "spatten.decision",
        [],
        "wrong side: a row of all bits is dropped too",
        [Bug("accelsim_rtl.decision", "~(stays | decided.whole)", "~stays")],
        {"rows", "beats"},
    ),
    (
        "spatten.decision",
        [],
        "dropped beat: a request for bits replaces the one before it",
        [Bug("accelsim_rtl.decision", "free = ~self.refetch.valid | self.refetch.ready", "free = 1")],
        {"rows", "beats", "rule"},
    ),
    (
        "spatten.decision",
        [],
        "latency off by one: a request for rows waits for a clock",
        [
            Bug(
                "accelsim_rtl.decision",
                "free = ~self.refetch.valid | self.refetch.ready",
                "free = ~self.refetch.valid",
            )
        ],
        {"rows"},
    ),
    (
        "spatten.decision",
        [],
        "latency off by one in cycles()",
        [Bug("accelsim.units.decision", "enters[-1] + DECISION_CYCLES", "enters[-1] + 1 + DECISION_CYCLES")],
        {"cycles"},
    ),
    (
        "spatten.dot_product",
        [],
        "wrong side: short vectors meet the wrong half of the query",
        [Bug("accelsim_rtl.dot_product", "kept[place % (1 << shorter_level)]", "kept[place]")],
        {"rows", "beats"},
    ),
    (
        "spatten.dot_product",
        [],
        "wrong side: the sums of the level above",
        [Bug("accelsim_rtl.dot_product", "Mux(level == number, sums", "Mux(level + 1 == number, sums")],
        {"rows", "beats"},
    ),
    (
        "spatten.dot_product",
        [],
        "wrong side: a sum loses its highest bit",
        [Bug("accelsim_rtl.dot_product", "signed(len(one) + 1)", "signed(len(one) + (level < 2))")],
        {"rows", "beats"},
    ),
    (
        "spatten.dot_product",
        [],
        "latency off by one: the next query waits for the last line",
        [
            Bug(
                "accelsim_rtl.dot_product",
                "self.queries.ready.eq(~there | ends)",
                "self.queries.ready.eq(~there | delayed(m, ends, 1, name='late'))",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "spatten.dot_product",
        [],
        "dropped beat: more lines on their way than there is room for",
        [Bug("accelsim_rtl.promised_store", "self.room.eq(promises.room)", "self.room.eq(1)")],
        {"rows", "beats", "rule"},
    ),
    (
        "spatten.dot_product",
        [],
        "latency off by one in cycles()",
        [Bug("accelsim.units.dot_product", "return 1 + sum(lines)", "return sum(lines)")],
        {"cycles"},
    ),
]
