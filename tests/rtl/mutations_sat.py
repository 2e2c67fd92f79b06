"""Bugs of SAT's units and of floating point: the third part of the mutation table."""

from mutants import Bug

# (unit, settings, what goes wrong, the bugs, the comparisons that must see it)
MUTATIONS = [
    (
        "kit.fp16_multiplier",
        [],
        "wrong side: zero times infinity is infinite",
        [
            Bug(
                "accelsim_rtl.float.multiplier",
                "one.nan | other.nan | (one.infinite & other.zero) | (other.infinite & one.zero)",
                "one.nan | other.nan",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "kit.fp16_multiplier",
        ["product=fp16"],
        "wrong tie: half goes up, not to the even neighbour",
        [Bug("accelsim_rtl.float.words", "guard & (sticky | kept[0])", "guard")],
        {"rows", "beats"},
    ),
    (
        "kit.fp32_multiplier",
        [],
        "wrong side: a product far below the least number comes round again",
        [Bug("accelsim_rtl.float.words", "Mux(place < -beyond, beyond, -place)", "-place")],
        {"rows", "beats"},
    ),
    (
        "kit.fp32_multiplier",
        [],
        "latency off by one: a product leaves a clock early",
        [
            Bug(
                "accelsim_rtl.float.stages",
                "latency * (place + 1) // cuts",
                "(latency - 1) * (place + 1) // cuts",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "kit.fp32_adder",
        [],
        "wrong side: what the smaller one loses is forgotten",
        [Bug("accelsim_rtl.float.words", "Cat(lost, shorter[1:])", "shorter")],
        {"rows", "beats"},
    ),
    (
        "kit.fp32_adder",
        [],
        "wrong side: nothing left of two numbers has the sign of one",
        [Bug("accelsim_rtl.float.adder", "Mux(total.any(), sign, both)", "sign")],
        {"rows", "beats"},
    ),
    (
        "kit.fp32_adder",
        [],
        "wrong side: a number goes up beyond the least exponent",
        [Bug("accelsim_rtl.float.words", "Mux(zeros < place, zeros, place)", "zeros")],
        {"rows", "beats"},
    ),
    (
        "kit.fp32_adder",
        [],
        "dropped beat: more sums on their way than there is room for",
        [Bug("accelsim_rtl.promised_store", "self.room.eq(promises.room)", "self.room.eq(1)")],
        {"rows", "beats", "rule"},
    ),
    (
        "kit.fp32_adder",
        [],
        "latency off by one in cycles()",
        [
            Bug(
                "accelsim.units.floating",
                "return operations + parameters.latency_cycles",
                "return operations + parameters.clocks",
            )
        ],
        {"cycles"},
    ),
    (
        "kit.fp16_to_fp32",
        [],
        "wrong side: a subnormal keeps its exponent",
        [Bug("accelsim_rtl.float.words", "field = place + 1 - zeros", "field = place + 1")],
        {"rows", "beats"},
    ),
    (
        "kit.fp32_to_fp16",
        [],
        "wrong side: a number too large is not infinite",
        [Bug("accelsim_rtl.float.words", "infinite | beyond", "infinite")],
        {"rows", "beats"},
    ),
    (
        "kit.fp32_multiply_add",
        [],
        "latency off by one: the addend does not wait for the product",
        [
            Bug(
                "accelsim_rtl.float.multiply_add",
                'delayed(m, self.third, self.multiplier_latency, name="third")',
                "self.third",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "sat.uspe",
        [],
        "wrong side: the index chooses another of the group",
        [Bug("accelsim_rtl.sat.uspe", "west.lanes[chosen.index]", "west.lanes[chosen.index ^ 1]")],
        {"rows", "beats"},
    ),
    (
        "sat.uspe",
        [],
        "wrong side: a fold goes on with the sums of the one before it",
        [Bug("accelsim_rtl.sat.uspe", "Mux(first, 0, own)", "own")],
        {"rows", "beats"},
    ),
    (
        "sat.uspe",
        [],
        "wrong side: sums drain from the bank that is added to",
        [
            Bug(
                "accelsim_rtl.sat.uspe",
                "(self.bank == number) | (parameters.banks == 1)",
                "(self.bank != number) | (parameters.banks == 1)",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "sat.uspe",
        [],
        "latency off by one: the next product of a sum comes a clock early",
        [
            Bug(
                "accelsim_rtl.sat.sequencer",
                "place == parameters.round_clocks - 1",
                "place == parameters.round_clocks - 2",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "sat.uspe",
        [],
        "wrong side: the same in RTL and step model: sums that travel begin with zero",
        [
            Bug("accelsim_rtl.sat.array", "Mux(sequencer.continued, self.partials.payload[column], 0)", "0"),
            Bug(
                "accelsim.units.sat_array",
                "np.array(start or [0] * parameters.cols, np.uint32)",
                "np.array([0] * parameters.cols, np.uint32)",
            ),
        ],
        {"beats"},
    ),
    (
        "sat.uspe",
        [],
        "wrong side: sums travel while those that stayed drain",
        [
            Bug(
                "accelsim_rtl.sat.sequencer",
                "fold.stationary & self.room & ~draining",
                "fold.stationary & self.room",
            )
        ],
        {"rows", "beats", "rule"},
    ),
    (
        "sat.array",
        [],
        "latency off by one: a fold ends before its last product is added",
        [Bug("accelsim_rtl.sat.sequencer", "left.eq(Mux(fill == 0, 1, fill))", "left.eq(1)")],
        {"rows", "beats"},
    ),
    (
        "sat.array",
        [],
        "wrong side: a row hears its activations when those of the other dataflow are due",
        [
            Bug(
                "accelsim_rtl.sat.array",
                "delays = (row, row * parameters.adder_latency)",
                "delays = (row, row)",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "sat.array",
        [],
        "wrong side: weights stay a row too high",
        [
            Bug(
                "accelsim_rtl.sat.sequencer",
                "self.row.eq(parameters.rows - 1)",
                "self.row.eq(parameters.rows - 2)",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "sat.array",
        [],
        "dropped beat: sums set out without room for them",
        [Bug("accelsim_rtl.promised_store", "self.room.eq(promises.room)", "self.room.eq(1)")],
        {"rows", "beats", "rule"},
    ),
    (
        "sat.array",
        [],
        "latency off by one: a drain waits for a clock between two rows",
        [
            Bug(
                "accelsim_rtl.sat.sequencer",
                "self.pushes.eq(draining & captured & self.room)",
                "self.pushes.eq(draining & captured & self.room & ~row[0])",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "sat.array",
        [],
        "latency off by one in cycles()",
        [
            Bug(
                "accelsim.units.sat_array",
                "steps = parameters.rows + fold.beats",
                "steps = parameters.rows + fold.beats - 1",
            )
        ],
        {"cycles"},
    ),
    (
        "sat.wuve",
        ["lanes=1"],
        "wrong side: the weight moves along the gradient",
        [Bug("accelsim_rtl.sat.wuve", "Cat(way[:-1], ~way[-1])", "way")],
        {"rows", "beats"},
    ),
    (
        "sat.wuve",
        ["lanes=1", "constants.decay=0.01"],
        "wrong side: what is kept decays",
        [Bug("accelsim_rtl.sat.wuve", "~delayed(m, self.kept", "delayed(m, self.kept")],
        {"rows", "beats"},
    ),
    (
        "sat.wuve",
        ["lanes=1", "constants.weight_decay=0.01"],
        "latency off by one: the gradient does not wait for what decays",
        [Bug("accelsim_rtl.sat.wuve", 'delayed(m, gradient, multiplies, name="gradient")', "gradient")],
        {"rows", "beats"},
    ),
    (
        "sat.wuve",
        ["lanes=1"],
        "wrong side: an infinite gradient is not told",
        [Bug("accelsim_rtl.sat.wuve", "[top].all()", "[top].any()")],
        {"rows"},
    ),
    (
        "sat.wuve",
        ["lanes=1"],
        "back-pressure: the last beat is replaced before it is taken",
        [
            Bug(
                "accelsim_rtl.sat.wuve",
                "moves = ~self.updated.valid | self.updated.ready",
                "moves = Const(1)",
            )
        ],
        {"rows", "beats", "rule"},
    ),
    (
        "sat.wuve",
        ["lanes=1"],
        "latency off by one in cycles()",
        [
            Bug(
                "accelsim.units.wuve",
                "return beats + parameters.latency if",
                "return beats + parameters.latency - 1 if",
            )
        ],
        {"cycles"},
    ),
    (
        "sat.transpose",
        [],
        "wrong side: a column is turned the other way",
        [Bug("accelsim_rtl.sat.transpose", "(place - column)[:bits]", "(column - place)[:bits]")],
        {"rows", "beats"},
    ),
    (
        "sat.transpose",
        [],
        "dropped beat: a third tile takes the place of the first",
        [Bug("accelsim_rtl.sat.transpose", "self.rows.ready.eq(self.tiles != 2)", "self.rows.ready.eq(1)")],
        {"rows", "beats", "rule"},
    ),
    (
        "sat.transpose",
        [],
        "latency off by one: a tile is offered when its last row is yet to come",
        [
            Bug(
                "accelsim_rtl.sat.transpose",
                "enters & entered[:bits].all()",
                "enters & (entered[:bits] == side - 2)",
            )
        ],
        {"rows", "beats", "rule"},
    ),
    (
        "sat.transpose",
        [],
        "latency off by one in cycles()",
        [Bug("accelsim.units.transpose", "(tiles + 1) * parameters.side", "tiles * parameters.side")],
        {"cycles"},
    ),
]
