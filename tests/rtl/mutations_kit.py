"""Bugs of the kit's units, of SORE and of SpAtten's top-k: the first part of the mutation table."""

from mutants import Bug

# (unit, settings, what goes wrong, the bugs, the comparisons that must see it)
MUTATIONS = [
    (
        "sat.sore",
        [],
        "wrong tie: an equal magnitude replaces",
        [Bug("accelsim_rtl.sore_lane", "self.value[magnitude] > store", "self.value[magnitude] >= store")],
        {"rows", "beats"},
    ),
    (
        "sat.sore",
        [],
        "wrong side: the same in RTL and step model",
        [
            Bug("accelsim_rtl.sore_lane", "slice(0, self.parameters.value_bits - 1)", "slice(0, None)"),
            Bug("accelsim.units.sore", "pair.value & self.parameters.magnitude_mask", "pair.value"),
        ],
        {"beats"},
    ),
    (
        "sat.sore",
        [],
        "wrong side: the sign takes part in the comparison",
        [Bug("accelsim_rtl.sore_lane", "slice(0, self.parameters.value_bits - 1)", "slice(0, None)")],
        {"rows", "beats"},
    ),
    (
        "sat.sore",
        [],
        "dropped beat: a finished group is overwritten under back-pressure",
        [Bug("accelsim_rtl.sore", "~ends | ~self.kept.valid | self.kept.ready", "1")],
        {"rows", "beats", "rule"},
    ),
    (
        "sat.sore",
        [],
        "latency off by one: a group waits while the result leaves",
        [Bug("accelsim_rtl.sore", "~ends | ~self.kept.valid | self.kept.ready", "~ends | ~self.kept.valid")],
        {"rows"},
    ),
    (
        "sat.sore",
        [],
        "latency off by one in cycles()",
        [Bug("accelsim.units.sore", "return beats + 1 if beats", "return beats if beats")],
        {"cycles"},
    ),
    (
        "kit.fifo",
        [],
        "dropped beat: a full FIFO takes one more",
        [Bug("amaranth.lib.fifo", "self.w_rdy.eq(self.level != self.depth)", "self.w_rdy.eq(1)")],
        {"rows", "beats", "rule"},
    ),
    (
        "kit.fifo",
        ["memory=block"],
        "latency off by one: LUT RAM instead of block RAM",
        [Bug("accelsim_rtl.fifo", 'self.parameters.memory == "block"', 'self.parameters.memory == "none"')],
        {"rows"},
    ),
    (
        "kit.fifo",
        [],
        "wrong probe: the level as it will be",
        [
            Bug(
                "accelsim_rtl.fifo",
                "self.level.eq(inner.level)",
                "self.level.eq(inner.level + (inner.w_en & inner.w_rdy))",
            )
        ],
        {"rows"},
    ),
    (
        "kit.arbiter",
        [],
        "wrong tie: the farthest requester comes first",
        [Bug("accelsim_rtl.arbiter", "in reversed(range(1, sources))", "in range(1, sources)")],
        {"rows"},
    ),
    (
        "kit.arbiter",
        [],
        "dropped beat: every source believes to have the grant",
        [Bug("accelsim_rtl.arbiter", "(self.grant == source) & self.granted.ready", "self.granted.ready")],
        {"rows", "beats"},
    ),
    (
        "kit.arbiter",
        [],
        "latency off by one: the grant stays for a clock",
        [Bug("accelsim_rtl.arbiter", "~self.granted.valid | self.granted.ready", "~self.granted.valid")],
        {"rows"},
    ),
    (
        "spatten.zero_eliminator",
        [],
        "dropped beat: no room for the second row",
        [Bug("accelsim_rtl.zero_eliminator", "& ~(second.valid & head_after.valid)", "")],
        {"rows", "beats"},
    ),
    (
        "spatten.zero_eliminator",
        [],
        "wrong side: elements are swapped in the butterfly",
        [
            Bug(
                "accelsim_rtl.zero_eliminator",
                "side = number >> layer & 1",
                "side = ~number >> layer & 1",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "spatten.zero_eliminator",
        ["registers=max_frequency"],
        "latency off by one: a register of the prefix sum is missing",
        [Bug("accelsim_rtl.zero_eliminator", "inner = every and layer < layers - 1", "inner = False")],
        {"rows"},
    ),
    (
        "spatten.prefix_sum",
        [],
        "wrong side: a lane counts itself",
        [Bug("accelsim_rtl.prefix_sum", "before.eq(total - flag)", "before.eq(total)")],
        {"rows", "beats"},
    ),
    (
        "spatten.prefix_sum",
        [],
        "dropped beat: the pipeline moves on under back-pressure",
        [Bug("accelsim_rtl.prefix_sum", "advance.eq(~valid | self.sums.ready)", "advance.eq(1)")],
        {"rows", "beats", "rule"},
    ),
    (
        "spatten.topk",
        [],
        "wrong tie: one equal score too many stays",
        [Bug("accelsim_rtl.topk.filter", "before[lane] < rooms", "before[lane] <= rooms")],
        {"rows", "beats"},
    ),
    (
        "spatten.topk",
        [],
        "wrong tie: the equal ones of earlier lines are forgotten",
        [Bug("accelsim_rtl.topk.filter", "Mux(starts, 0, seen)", "0")],
        {"rows", "beats"},
    ),
    (
        "spatten.topk",
        [],
        "wrong side: a target among the equal ones goes to the smaller",
        [Bug("accelsim_rtl.topk.decide", "counted & under[-1])", "counted & (under <= 0))")],
        {"rows", "beats"},
    ),
    (
        "spatten.topk",
        [],
        "latency off by one: a pass waits for a line that is there",
        [Bug("accelsim_rtl.topk.quick", "Mux(self.short, waited[1], waited[0])", "waited[1]")],
        {"rows"},
    ),
    (
        "spatten.topk",
        [],
        "latency off by one: the only line of a pass is read before it is written",
        [Bug("accelsim_rtl.topk.quick", "Mux(self.short, waited[1], waited[0])", "waited[0]")],
        {"rows", "beats"},
    ),
    (
        "spatten.topk",
        ["width=1", "capacity=128"],
        "back-pressure: the filter reads a line for which the store has no room",
        [
            Bug(
                "accelsim_rtl.topk.store",
                "reaches(promised, self.depth - 3)",
                "reaches(promised, self.depth - 1)",
            )
        ],
        {"rows", "beats", "rule"},
    ),
    (
        "spatten.topk",
        [],
        "dropped beat: what remains behind the last line is not flushed",
        [Bug("accelsim_rtl.topk.join", "(self.valid & self.full) | flush", "self.valid & self.full")],
        {"rows", "beats"},
    ),
    (
        "spatten.topk",
        [],
        "LFSR phase: the word of this pass, not of the next one, draws the pivots of the sides",
        [Bug("accelsim_rtl.topk.quick", "word.eq(stepped(word))", "word.eq(word)")],
        {"rows"},
    ),
    (
        "spatten.topk",
        [],
        "LFSR phase: the word steps at the first line of a group, not at its last",
        [
            Bug(
                "accelsim_rtl.topk.sampler",
                "~line[0] & ~(line & ~below)[2:].any()",
                "~(line & (line + 1)).any()",
            )
        ],
        {"rows"},
    ),
    (
        "spatten.topk",
        ["engine=radix"],
        "wrong side: a digit is reached by larger ones only",
        [Bug("accelsim_rtl.topk.radix", "digit >= value", "digit > value")],
        {"rows", "beats"},
    ),
    (
        "spatten.topk",
        ["engine=radix"],
        "wrong tie: the digit that exactly the target reaches",
        [Bug("accelsim_rtl.topk.radix", "total >= 0", "total >= -1")],
        {"rows", "beats"},
    ),
    (
        "spatten.topk",
        ["engine=radix"],
        "latency off by one: the next pass starts a clock later",
        [
            Bug(
                "accelsim_rtl.topk.radix",
                "begins.eq(started | again)",
                'begins.eq(started | delayed(m, again, 1, name="late", resets=True))',
            )
        ],
        {"rows"},
    ),
    (
        "spatten.topk",
        [],
        "latency off by one in cycles()",
        [Bug("accelsim.units.topk.cycles", "parameters.filter_cycles + 1", "parameters.filter_cycles")],
        {"cycles"},
    ),
    (
        "spatten.score_accumulator",
        [],
        "wrong side: a sum wraps where it must saturate",
        [
            Bug(
                "accelsim_rtl.score_accumulator",
                "exact[:-1] | exact[-1].replicate(parameters.sum_bits)",
                "exact[:-1]",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "spatten.score_accumulator",
        [],
        "latency off by one: a line is used a clock before its sum is written",
        [
            Bug(
                "accelsim_rtl.score_accumulator",
                "zip(writes[1:], lines[1:], strict=True)",
                "zip(writes[1:-1], lines[1:-1], strict=True)",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "spatten.score_accumulator",
        [],
        "dropped beat: lines are read without room for them",
        [Bug("accelsim_rtl.score_accumulator", "promised != STORE_LINES", "1")],
        {"rows", "beats", "rule"},
    ),
]
