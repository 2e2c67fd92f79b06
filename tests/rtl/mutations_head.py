"""Bugs of SpAtten's head pipeline and of its units behind the dot products: the third part of the table."""

from mutants import Bug

# (unit, settings, what goes wrong, the bugs, the comparisons that must see it)
MUTATIONS = [
    (
        "spatten.score_scale",
        [],
        "wrong tie: half to even forgets what was dropped before",
        [Bug("accelsim_rtl.score_scale", "sticky | rest[:by].any()", "rest[:by].any()")],
        {"rows", "beats"},
    ),
    (
        "spatten.score_scale",
        [],
        "wrong side: a score too low becomes the highest",
        [Bug("accelsim_rtl.score_scale", "negative.eq(floor[-1])", "negative.eq(0)")],
        {"rows", "beats"},
    ),
    (
        "spatten.score_scale",
        [],
        "dropped beat: a row's last sums wait for a full line",
        [
            Bug(
                "accelsim_rtl.score_scale",
                "takes & (line.last | (after == lanes))",
                "takes & (after == lanes)",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "spatten.score_scale",
        [],
        "wrong side: masked scores count",
        [Bug("accelsim_rtl.score_scale", "(lane < left) for lane", "(lane <= left) for lane")],
        {"rows", "beats"},
    ),
    (
        "spatten.score_scale",
        [],
        "latency off by one in cycles()",
        [Bug("accelsim.units.score_scale", "return 1 + sum(rows)", "return sum(rows)")],
        {"cycles"},
    ),
    (
        "spatten.value_product",
        [],
        "wrong side: a long vector meets its neighbour's probability",
        [
            Bug(
                "accelsim_rtl.value_product",
                "line.probabilities[shortest >> fold]",
                "line.probabilities[shortest]",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "spatten.value_product",
        [],
        "wrong side: places of long vectors are folded too",
        [
            Bug(
                "accelsim_rtl.value_product",
                "level < parameters.levels - fold",
                "level <= parameters.levels - fold",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "spatten.value_product",
        [],
        "reset in mid-stream: the next row begins with a sum that was cut off",
        [
            Bug(
                "accelsim_rtl.value_product",
                "fresh = Signal(init=1)",
                "fresh = Signal(init=1, reset_less=True)",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "spatten.value_product",
        [],
        "back-pressure: a row's outputs overwrite those of the row before",
        [Bug("accelsim_rtl.value_product", "((busy == 0) & fits)", "fits")],
        {"rows", "beats"},
    ),
    (
        "spatten.value_product",
        [],
        "dropped beat: outputs without room",
        [Bug("accelsim_rtl.value_product", "((busy == 0) & fits)", "(busy == 0)")],
        {"rows", "beats", "rule"},
    ),
    (
        "spatten.value_product",
        [],
        "latency off by one in cycles()",
        [Bug("accelsim.units.value_product", "clear = last + beats", "clear = last + beats + 1")],
        {"cycles"},
    ),
    (
        "spatten.value_selection",
        [],
        "wrong side: a row that keeps all but one passes the engine by",
        [
            Bug(
                "accelsim_rtl.value_selection",
                'line["values"] < line["keys"]',
                'line["values"] + 1 < line["keys"]',
            )
        ],
        {"rows", "beats"},
    ),
    (
        "spatten.value_selection",
        [],
        "dropped beat: a row's last lane is cut off with its line",
        [
            Bug(
                "accelsim_rtl.value_selection",
                "Mux(left > parameters.lanes, parameters.lanes, left)",
                "Mux(left > parameters.lanes, parameters.lanes, left - (left > 1))",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "spatten.value_selection",
        [],
        "wrong side: a line's last lanes keep keys that are not there",
        [
            Bug(
                "accelsim_rtl.value_selection",
                '(lane < many) & (offset + lane < whole["count"])',
                "lane < many",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "spatten.value_selection",
        [],
        "latency off by one in cycles()",
        [Bug("accelsim.units.value_selection", "    return last\n", "    return last + 1\n")],
        {"cycles"},
    ),
    (
        "spatten.head",
        [],
        "wrong side: the query keeps its least bits in a first pass",
        [Bug("accelsim_rtl.head", "query.operands[place] & taken", "query.operands[place]")],
        {"rows", "beats"},
    ),
    (
        "spatten.head",
        [],
        "dropped beat: a row that is asked for anew keeps its room for ever",
        [Bug("accelsim_rtl.decision", "store.issued.eq(keeps)", "store.issued.eq(stored.passes)")],
        {"rows", "beats"},
    ),
    (
        "spatten.head",
        [],
        "wrong order: the program reads before it has waited for its rows",
        [Bug("accelsim_rtl.head", "waits.eq(there & (task.rows != 0))", "waits.eq(there & (task.rows > 1))")],
        {"rows", "beats"},
    ),
    (
        "spatten.head",
        [],
        "dropped beat: V is asked for, and its probabilities are not kept",
        [
            Bug(
                "accelsim_rtl.head",
                "self.requests.valid.eq(selected.valid & weights.entering.ready)",
                "self.requests.valid.eq(selected.valid)",
            )
        ],
        {"rows", "beats"},
    ),
]
