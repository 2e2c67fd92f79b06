"""Verilator's lint of the Verilog that is written: `-Wall`, and the warnings that are meant, with reasons.

They are the one list: `accelsim verilog` writes it as TOP.vlt, and a test holds every unit to it.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

from accelsim_rtl.kit.simulators import environment

MEANT = {
    "CASEOVERLAP": "a choice among fewer than 2^n is written with its last case for all that are left",
    "CMPCONST": "a bound that a width already keeps is compared all the same",
    "DECLFILENAME": "all modules of a unit stand in one file",
    "PROCASSINIT": "registers have the value of their reset before it, as FPGAs load it",
    "UNOPTFLAT": "fields of one vector are assigned apart, one from another; no bit depends on itself",
    "UNSIGNED": "a place is compared with each number it may have, 0 among them",
    "UNUSEDSIGNAL": "carries and fields that nobody needs are left to synthesis, which drops them",
    "VARHIDDEN": "a memory has the name of the module around it",
    "WIDTHEXPAND": "operands of other widths are extended as Verilog does it",
    "WIDTHTRUNC": "a vector as a condition means that a bit of it is set",
}
"""Of Verilator's warnings those that say nothing of a unit, and why."""


def waivers() -> str:
    """A configuration file for Verilator: `verilator --lint-only -Wall TOP.vlt TOP.v` says nothing."""
    lines = ["`verilator_config"]
    for name, reason in MEANT.items():
        lines += [f"// {reason}", f"lint_off -rule {name}"]
    return "\n".join(lines) + "\n"


def warnings(text: str, top: str) -> list[str]:
    """What Verilator says of a Verilog text, a line a warning, `NAME: ...`; what is meant is among it."""
    with tempfile.TemporaryDirectory(prefix="accelsim-") as place:
        source = Path(place) / f"{top}.v"
        source.write_text(text)
        done = subprocess.run(
            ["verilator", "--lint-only", "-Wall", "-Wno-fatal", "--top-module", top, str(source)],
            env=os.environ | environment("verilator"),
            capture_output=True,
            text=True,
        )
    found = re.findall(r"^%(?:Warning|Error)(?:-(\w+))?: (.*)$", done.stderr, re.M)
    return [f"{name or 'ERROR'}: {line}" for name, line in found]
