"""Bugs of SAT's units and of the floating-point arithmetic under them: the third part of the mutation table."""

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
        "wrong side: what a subnormal loses on its way down is forgotten",
        [Bug("accelsim_rtl.float.words", "Cat(lost, shorter[1:])", "shorter")],
        {"rows", "beats"},
    ),
    (
        "kit.fp32_multiplier",
        [],
        "latency off by one: a product leaves a clock early",
        [Bug("accelsim_rtl.float.stages", "latency * (place + 1) // cuts", "(latency - 1) * (place + 1) // cuts")],
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
        [Bug("accelsim_rtl.promised_store", "self.promised != self.depth", "1")],
        {"rows", "beats", "rule"},
    ),
    (
        "kit.fp32_adder",
        [],
        "latency off by one in cycles()",
        [Bug("accelsim.units.floating", "return operations + parameters.latency_cycles", "return operations + parameters.clocks")],
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
        [Bug("accelsim_rtl.float.multiply_add", 'delayed(m, self.third, self.multiplier_latency, name="third")', "self.third")],
        {"rows", "beats"},
    ),
]
