"""Bugs that must refute a proof: each claim has one, or more."""

from accelsim_rtl.proofs import claims, stc_proofs
from mutants import Bug

# (claim, what goes wrong, the bug): the first proof of the claim must be refuted.
FLAWS = [
    (
        claims.SORE,
        "an equal magnitude replaces",
        Bug("accelsim_rtl.sore_lane", "self.value[magnitude] > store", "self.value[magnitude] >= store"),
    ),
    (
        claims.SORE,
        "a filler counts as a number",
        Bug("accelsim_rtl.sore_lane", "eq(self.filled & ~beaten)", "eq(~beaten)"),
    ),
    (
        claims.SORE,
        "the gap is not closed",
        Bug("accelsim_rtl.sore_lane", "full & leaves[: slot + 1].any()", "full & leaves[slot]"),
    ),
    (
        claims.SORE,
        "the next group begins with the last one's numbers",
        Bug("accelsim_rtl.sore_lane", "store[slot].eq(filler[slot])", "store[slot].eq(next_store[slot])"),
    ),
    (
        claims.SORE,
        "a finished group is overwritten",
        Bug("accelsim_rtl.sore", "~ends | ~self.kept.valid | self.kept.ready", "1"),
    ),
    (
        claims.SORE,
        "the result is offered for one clock only",
        Bug("accelsim_rtl.sore", "m.Elif(self.kept.ready)", "m.Else()"),
    ),
    (
        claims.FIFO,
        "a full FIFO takes one more",
        Bug("amaranth.lib.fifo", "self.w_rdy.eq(self.level != self.depth)", "self.w_rdy.eq(1)"),
    ),
    (
        claims.FIFO,
        "it is deeper than it says",
        Bug("accelsim_rtl.fifo", "depth=self.parameters.depth)", "depth=self.parameters.depth + 1)"),
    ),
    (
        claims.FIFO,
        "a payload is lost when the sink is not ready",
        Bug(
            "amaranth.lib.fifo",
            "with m.If(do_read):\n            m.d.sync += consume.eq(_incr(consume, self.depth))",
            "with m.If(self.r_rdy):\n            m.d.sync += consume.eq(_incr(consume, self.depth))",
        ),
    ),
    (
        claims.ARBITER,
        "the farthest requester comes first",
        Bug("accelsim_rtl.arbiter", "in reversed(range(1, sources))", "in range(1, sources)"),
    ),
    (
        claims.ARBITER,
        "the grant moves on while a beat waits",
        Bug("accelsim_rtl.arbiter", "m.If(~self.granted.valid | self.granted.ready)", "m.If(1)"),
    ),
    (
        claims.ARBITER,
        "every source believes to have the grant",
        Bug("accelsim_rtl.arbiter", "(self.grant == source) & self.granted.ready", "self.granted.ready"),
    ),
    (
        claims.CROSSBAR,
        "a lower input takes the output from a beat that waits",
        Bug("accelsim_rtl.crossbar", "Mux(self.locked, held, lowest)", "lowest"),
    ),
    (
        claims.CROSSBAR,
        "every input that asks believes to have the output",
        Bug(
            "accelsim_rtl.crossbar",
            "Mux(self.granted.ready, has, 0)",
            "Mux(self.granted.ready, self.wants, 0)",
        ),
    ),
    (
        claims.CROSSBAR,
        "a field beyond the last output is not brought back",
        Bug(
            "accelsim_rtl.crossbar",
            "Mux(field >= parameters.outputs, field - parameters.outputs, field)",
            "field",
        ),
    ),
    (
        claims.CONVERTER,
        "a beat is taken whether there is room or not",
        Bug("accelsim_rtl.bit_width_converter", "wants.eq(held_after < line)", "wants.eq(1)"),
    ),
    (
        claims.CONVERTER,
        "a record ends without its padding",
        Bug(
            "accelsim_rtl.bit_width_converter",
            "Mux(last, beats_left == 0, self.held >= line)",
            "self.held >= line",
        ),
    ),
    (
        claims.CONVERTER,
        "a line is replaced before it is taken",
        Bug(
            "accelsim_rtl.bit_width_converter",
            "free = ~self.operands.valid | self.operands.ready",
            "free = 1",
        ),
    ),
    (
        claims.PROMISED,
        "a line is on its way whether there is room or not",
        Bug("accelsim_rtl.promised_store", "self.room.eq(promises.room)", "self.room.eq(1)"),
    ),
    (
        claims.PROMISED,
        "a line in the store is passed over while the sink waits",
        Bug(
            "accelsim_rtl.promised_store",
            "with m.If(taken):",
            "with m.If(self.given.valid):",
        ),
    ),
    (
        claims.QUEUE,
        "the word that comes in is passed by",
        Bug("accelsim_rtl.front_queue", "Mux(self.level < 2, self.word, read.data)", "read.data"),
    ),
    (
        claims.QUEUE,
        "a word that comes in overtakes those that wait",
        Bug("accelsim_rtl.front_queue", "self.level < 2", "self.level < 3"),
    ),
    (
        claims.QUEUE,
        "a queue is said to have room while it is full",
        Bug("accelsim_rtl.level", "self.falls | ~(full | (filled & self.rises))", "1"),
    ),
    (
        claims.QUEUE,
        "a queue is said to hold a word when its only one has left",
        Bug("accelsim_rtl.level", "(empty | (single & self.falls))", "empty"),
    ),
    (
        claims.PRODUCT,
        "a row's outputs are overwritten by those of the next one",
        Bug("accelsim_rtl.value_product", "((busy == 0) & fits)", "fits"),
    ),
    (
        claims.TRANSPOSE,
        "a third tile is taken",
        Bug("accelsim_rtl.sat.transpose", "self.rows.ready.eq(self.tiles != 2)", "self.rows.ready.eq(1)"),
    ),
    (
        claims.ARRAY,
        "sums drain while others travel",
        Bug(
            "accelsim_rtl.sat.sequencer",
            "fold.stationary & self.room & ~draining",
            "fold.stationary & self.room",
        ),
    ),
    (
        claims.ZERO_ELIMINATOR,
        "no room for the second row",
        Bug("accelsim_rtl.zero_eliminator", "& ~(second.valid & head_after.valid)", ""),
    ),
    (
        claims.ZERO_ELIMINATOR,
        "elements are swapped in the butterfly",
        Bug("accelsim_rtl.zero_eliminator", "side = number >> layer & 1", "side = 1 - (number >> layer & 1)"),
    ),
    (
        claims.ZERO_ELIMINATOR,
        "an element is left behind at the end of a group",
        Bug("accelsim_rtl.zero_eliminator", "beat.end.last & full & (rest != 0)", "beat.end.last & full"),
    ),
    (
        claims.SCORE_ACCUMULATOR,
        "a line is read whether there is room or not",
        Bug("accelsim_rtl.score_accumulator", "room.eq(promised != STORE_LINES)", "room.eq(1)"),
    ),
    (
        claims.TOPK_STORE,
        "a line is passed over while the sink waits",
        Bug(
            "accelsim_rtl.topk.store",
            "filled & self.kept.ready",
            "filled",
        ),
    ),
    (
        claims.TOPK_STORE,
        "lines in the filter are promised no room",
        Bug("accelsim_rtl.topk.store", "self.issued - self.retired + self.line_valid", "self.line_valid"),
    ),
    (
        claims.TOPK_THRESHOLD,
        "a threshold is presented whether the last one was taken or not",
        Bug(
            "accelsim_rtl.topk.engine",
            "presents.eq(presenting & ~self.threshold.valid)",
            "presents.eq(presenting)",
        ),
    ),
    (
        claims.REORDERED,
        "a beat goes to the place of the first one of its burst",
        Bug(
            "accelsim_rtl.axi.reorder_buffer",
            "Array(counts)[self.burst][: len(given)]",
            "(Array(counts)[self.burst] & 0)[: len(given)]",
        ),
    ),
    (
        claims.REORDERED,
        "a number is given away twice",
        Bug("accelsim_rtl.axi.reorder_buffer", "self.level != self.bursts", "1"),
    ),
    (
        claims.REORDERED,
        "a beat is passed over while the sink waits",
        Bug(
            "accelsim_rtl.axi.reorder_buffer",
            "takes.eq(self.given.valid & self.given.ready)",
            "takes.eq(self.given.valid)",
        ),
    ),
    (
        claims.WRITTEN,
        "lengths are overwritten",
        Bug("accelsim_rtl.axi.write_master", "room.eq(self.level != parameters.outstanding)", "room.eq(1)"),
    ),
    (
        claims.WRITTEN,
        "a burst is under way once more in every clock in which its address waits",
        Bug("accelsim_rtl.axi.write_master", "bursts.valid & ~offered & room", "bursts.valid & room"),
    ),
    (
        claims.WRITTEN,
        "the last beat is marked one too early",
        Bug(
            "accelsim_rtl.axi.write_master",
            "last.eq(sent == wanted.data)",
            "last.eq(sent + 1 == wanted.data)",
        ),
    ),
    (
        claims.HALVES,
        "a third half is claimed",
        Bug("accelsim_rtl.vector_store", "self.filled != 0, self.claimed != 2", "self.filled != 0, 1"),
    ),
    (
        claims.HALVES,
        "least significant parts are written into the half that is filled",
        Bug("accelsim_rtl.vector_store", "first.eq(fills & ~fill.least)", "first.eq(fills)"),
    ),
    (
        claims.LIST,
        "the list goes on behind its last job",
        Bug("accelsim_rtl.sat.controller", "left == 1", "left == 0"),
    ),
    (
        stc_proofs.SELECTOR,
        "the first multiplexer swaps its lower inputs",
        Bug(
            "accelsim_rtl.stc.codes",
            "Mux(first[0], elements[1], elements[0])",
            "Mux(first[0], elements[0], elements[1])",
        ),
    ),
    (
        stc_proofs.METADATA,
        "the selector is ignored",
        Bug("accelsim_rtl.stc.codes", "Mux(selector, registers[2 + row], registers[row])", "registers[row]"),
    ),
    (
        stc_proofs.SUMS,
        "a last step is taken whether its sum has room or not",
        Bug("accelsim_rtl.stc.dot_product", "store.room | ~step.last", "1"),
    ),
    (
        stc_proofs.WALK,
        "inner loops go on where they were",
        Bug(
            "accelsim_rtl.walker",
            "[starts[lower].eq(further) for lower in range(level + 1)]",
            "[starts[level].eq(further)]",
        ),
    ),
    (
        stc_proofs.WALK,
        "the last line of a loop is left out",
        Bug("accelsim_rtl.walker", '{level}") - 1 for level', '{level}") - 2 for level'),
    ),
    (
        stc_proofs.PASS,
        "a pass begins with a beat that never came",
        Bug("accelsim_rtl.stc.tile", "m.d.sync += number.eq(0)", "m.d.sync += number.eq(1)"),
    ),
    (
        stc_proofs.TOGETHER,
        "every line asks for all",
        Bug("accelsim_rtl.stc.grouper", "place.eq(place + 1)", "place.eq(place)"),
    ),
    (
        claims.STREAM_RULE,
        "a row waits for nobody",
        Bug("accelsim_rtl.zero_eliminator", "taken.eq(head.valid & self.kept.ready)", "taken.eq(head.valid)"),
    ),
    (
        claims.STREAM_RULE,
        "a request of weights that waits is overtaken by one of activations",
        Bug("accelsim_rtl.sat.reads", "self.west_room & ~north_waits", "self.west_room"),
    ),
]
