"""Bugs of the machine around SAT's array: buffers, controller, updates."""

from mutants import Bug

# (unit, settings, what goes wrong, the bugs, the comparisons that must see it)
MUTATIONS = [
    (
        "sat",
        [],
        "wrong side: a half of activations is free before all folds have read it",
        [Bug("accelsim_rtl.sat.operands", "self.frees_west.eq(ends & last_use)", "self.frees_west.eq(ends)")],
        {"rows", "beats", "memory"},
    ),
    (
        "sat",
        [],
        "latency off by one: a half is read while its last word is written",
        [
            Bug(
                "accelsim_rtl.sat.halves",
                "self.there.eq(filled != self.releases)",
                "self.there.eq(filled + self.fills != self.releases)",
            )
        ],
        {"rows", "memory"},
    ),
    (
        "sat",
        [],
        "wrong side: the same in RTL and step model: every tile reads the first tile's activations",
        [
            Bug("accelsim_rtl.sat.reads", "(job.row_tiles, job.west_row)", "(job.row_tiles, 0)"),
            Bug("accelsim.units.sat.jobs", "(job.row_tiles, job.west_row)", "(job.row_tiles, 0)"),
        ],
        {"memory"},
    ),
    (
        "sat",
        [],
        "handshake: a job ends before memory has answered all that it wrote",
        [Bug("accelsim_rtl.sat.machine", "~engine.writes.valid & (unanswered == 0)", "~engine.writes.valid")],
        {"rows", "beats", "bus", "memory"},
    ),
    (
        "sat",
        [],
        "handshake: an update asks for a third tile before the first has left",
        [Bug("accelsim_rtl.sat.updates", "(source != 0) | (reserved != 2)", "1")],
        {"rows"},
    ),
    (
        "sat",
        [],
        "wrong side: rows of the next tile pass SORE instead of columns",
        [Bug("accelsim_rtl.sat.copies", "backward.eq(~backward)", "backward.eq(0)")],
        {"rows", "beats", "memory"},
    ),
    (
        "sat",
        [],
        "wrong side: the same in RTL and step model: the counter of clocks that the array works counts folds",
        [
            Bug(
                "accelsim_rtl.sat.machine",
                "count_works_value.eq(products.works)",
                "count_works_value.eq(products.folds)",
            ),
            Bug(
                "accelsim.units.sat.model",
                '"works": found["works"],\n            "busy"',
                '"works": found["folds"],\n            "busy"',
            ),
        ],
        {"beats"},
    ),
    (
        "sat",
        [],
        "latency off by one in cycles()",
        [
            Bug(
                "accelsim.units.sat.jobs",
                "job.folds * fold_cycles(parameters, job.fold)",
                "(job.folds - 1) * fold_cycles(parameters, job.fold)",
            )
        ],
        {"beats", "cycles"},
    ),
]
