"""Bugs of the sparse tensor core's units: a part of the mutation table."""

from mutants import Bug

# (unit, settings, what goes wrong, the bugs, the comparisons that must see it)
MUTATIONS = [
    (
        "stc.selector",
        [],
        "wrong side: the second multiplexer swaps its upper inputs",
        [
            Bug(
                "accelsim_rtl.stc.codes",
                "Mux(second[0], elements[3], elements[2])",
                "Mux(second[0], elements[2], elements[3])",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "stc.selector",
        ["codes=any"],
        "wrong multiplexers: three inputs where codes come in any order",
        [
            Bug(
                "accelsim_rtl.stc.selector",
                "picked(code, elements, codes)",
                'picked(code, elements, "ordered")',
            )
        ],
        {"rows", "beats"},
    ),
    (
        "stc.selector",
        [],
        "wrong flag: a position twice passes for a code",
        [Bug("accelsim_rtl.stc.codes", "first >= second", "first > second")],
        {"rows", "beats"},
    ),
    (
        "stc.selector",
        [],
        "dropped beat: what waits is overwritten",
        [Bug("accelsim_rtl.stc.selector", "~given.valid | given.ready", "1")],
        {"rows", "beats", "rule"},
    ),
    (
        "stc.metadata",
        [],
        "wrong lanes: the selector is ignored",
        [
            Bug(
                "accelsim_rtl.stc.codes",
                "Mux(selector, registers[2 + row], registers[row])",
                "registers[row]",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "stc.metadata",
        ["element_bits=16"],
        "wrong half: rows g and g + 8 change places",
        [Bug("accelsim_rtl.stc.codes", "[word[:16], word[16:]]", "[word[16:], word[:16]]")],
        {"rows", "beats"},
    ),
    (
        "stc.metadata",
        [],
        "latency off by one in cycles()",
        [Bug("accelsim.units.stc.stage", "beats + LATENCY_CYCLES if", "beats if")],
        {"cycles"},
    ),
    (
        "stc.dot_product",
        [],
        "wrong sign: elements of B are taken for positive",
        [Bug("accelsim_rtl.stc.lane", '("b", other, self.parameters.b_signed)', '("b", other, False)')],
        {"rows", "beats"},
    ),
    (
        "stc.dot_product",
        [],
        "wrong side: codes steer the multiplexers in a dense step, too",
        [
            Bug(
                "accelsim_rtl.stc.dot_product",
                "Mux(step.dense, dense_codes(parameters), step.codes)",
                "step.codes",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "stc.dot_product",
        [],
        "latency off by one: a sum begins where the step before it would",
        [
            Bug(
                "accelsim_rtl.stc.dot_product",
                'delayed(m, step.first, latency, name="first")',
                'delayed(m, step.first, latency - 1, name="first")',
            )
        ],
        {"rows", "beats"},
    ),
    (
        "stc.dot_product",
        ["sums=16"],
        "back-pressure: a last step is taken whether its sum has room or not",
        [Bug("accelsim_rtl.stc.dot_product", "store.room | ~step.last", "1")],
        {"rows", "beats", "rule"},
    ),
    (
        "stc.tile",
        [],
        "wrong side: dense and sparse passes read B alike",
        [Bug("accelsim_rtl.stc.buffers", "Mux(self.sparse, pair, spread(parameters.lane, word))", "pair")],
        {"rows", "beats"},
    ),
    (
        "stc.tile",
        [],
        "wrong rows: codes of g and g + 8 change places",
        [
            Bug(
                "accelsim_rtl.stc.tile",
                "Mux(count[0], words[1], words[0])",
                "Mux(count[0], words[0], words[1])",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "stc.tile",
        [],
        "wrong half: a row is written where the next pass's rows go",
        [
            Bug(
                "accelsim_rtl.stc.buffers",
                "write.addr.eq(Cat(step, row[lane_bits:], half))",
                "write.addr.eq(Cat(step, row[lane_bits:], self.half))",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "stc.tile",
        [],
        "latency off by one: the next pass waits for a clock",
        [Bug("accelsim_rtl.stc.tile", "decoded & (~self.running | ends)", "decoded & ~self.running")],
        {"rows"},
    ),
    (
        "stc.tile",
        [],
        "dropped beat: a step takes C whether it is there or not",
        [Bug("accelsim_rtl.stc.tile", "(~takes_c | (available != 0)) & ", "")],
        {"rows", "beats"},
    ),
    (
        "stc.tile",
        [],
        "wrong flag: a doubtful pass does not mark what is added to it",
        [Bug("accelsim_rtl.stc.tile", "flawed | (loaded.begins[1] & doubtful)", "flawed")],
        {"rows", "beats"},
    ),
    (
        "stc.tile",
        [],
        "latency off by one in cycles()",
        [Bug("accelsim.units.stc.tile", "loaded = 1 + A_BEATS + 1", "loaded = 1 + A_BEATS")],
        {"cycles"},
    ),
    (
        "stc.gemm",
        [],
        "wrong lines: the columns of a tile lie too close",
        [Bug("accelsim_rtl.stc.gemm", "(COLUMNS, column),", "(COLUMNS, job.passes),")],
        {"rows", "beats"},
    ),
    (
        "stc.gemm",
        [],
        "wrong lanes: every pass has the same selector",
        [Bug("accelsim_rtl.stc.gemm", "selector.eq(Cat(number[0], row_tile[0]))", "selector.eq(0)")],
        {"rows", "beats"},
    ),
    (
        "stc.gemm",
        [],
        "wrong begin: a tile goes on with the sums of the one before",
        [Bug("accelsim_rtl.stc.gemm", "Mux(number == 0, ZERO, KEPT)", "KEPT")],
        {"rows", "beats"},
    ),
    (
        "stc.gemm",
        ["lanes=8"],
        "dropped line: results leave with their first line",
        [
            Bug(
                "accelsim_rtl.stc.gemm",
                "self.writes.ready & (line == parameters.lines - 1)",
                "self.writes.ready",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "stc.gemm",
        [],
        "latency off by one in cycles()",
        [Bug("accelsim.units.stc.gemm", "total += 2 + ROWS + 1", "total += 2 + ROWS")],
        {"cycles"},
    ),
    (
        "stc",
        [],
        "wrong end: a job is done before its last lines are answered",
        [Bug("accelsim_rtl.stc.machine", "& (unanswered == 0) & free", "& free")],
        {"rows", "beats", "memory"},
    ),
    (
        "stc",
        [],
        "wrong lines: metadata comes by single lines",
        [Bug("accelsim_rtl.stc.grouper", "payload.beats.eq(self.together)", "payload.beats.eq(1)")],
        {"rows", "beats", "memory"},
    ),
    (
        "stc",
        [],
        "dropped line: D enters its buffer whether its address is taken or not",
        [
            Bug(
                "accelsim_rtl.stc.machine",
                "buffer.entering.valid.eq(writes.valid & grouper.lines.ready)",
                "buffer.entering.valid.eq(writes.valid)",
            )
        ],
        {"rows", "memory"},
    ),
    (
        "stc",
        [],
        "latency off by one in cycles()",
        [Bug("accelsim.units.stc.machine_model", "total += loads + 3", "total += loads + 2")],
        {"cycles"},
    ),
]
