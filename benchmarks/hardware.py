"""What hardware units occupy, and how fast they are on an ECP5-85k of speed grade 6.

    python benchmarks/hardware.py [UNIT:PRESET]... [--seeds 3] [--date YYYY-MM-DD] [-o FILE]

Cells as Yosys counts them; the clock is the median of the placer seeds of nextpnr, with registers before and
behind the ports. A form takes minutes of CPU; the file is written after each. Without a name: every preset
of every unit but `tiny`. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path
from typing import Any

import accelsim
from accelsim.parameters import as_dict
from accelsim.report import write_atomically
from accelsim_rtl.kit import synthesis
from accelsim_rtl.kit.ports import ports
from accelsim_rtl.kit.verilog import verilog
from accelsim_rtl.units import UNITS, find

RESULTS = Path(__file__).parent / "results" / "hardware.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("forms", nargs="*", metavar="UNIT:PRESET")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    parser.add_argument("-o", "--output", default=str(RESULTS))
    given = parser.parse_args()
    forms = given.forms or [
        f"{name}:{preset}" for name, unit in UNITS.items() for preset in unit.presets if preset != "tiny"
    ]
    rows = []
    for form in forms:
        rows.append(measure(form, given.seeds))
        print(json.dumps(rows[-1]), flush=True)
        results = {
            "command": " ".join(["python benchmarks/hardware.py", *given.forms]),
            "date": given.date,
            "versions": {"accelsim": accelsim.__version__} | synthesis.versions(route=True),
            "devices": {target: synthesis.TARGETS[target].device for target in ("ecp5", "xilinx")},
            "rows": rows,
        }
        write_atomically(given.output, json.dumps(results, indent=2) + "\n")


def measure(form: str, seeds: int) -> dict[str, Any]:
    """Cells in both families and the clock of one unit with the parameters of a preset."""
    name, _, preset = form.partition(":")
    unit = find(name)
    parameters = unit.presets[preset]
    component = unit.instance(parameters)
    text = verilog(component, unit.top)
    row: dict[str, Any] = {"unit": name, "preset": preset, "parameters": as_dict(parameters)}
    for target in ("ecp5", "xilinx"):
        found = synthesis.synthesise(text, unit.top, target)
        row[target] = {resource: found[resource] for resource in ("lut", "ff", "dsp", "bram")}
    return row | synthesis.route(text, unit.top, ports(component), seeds=seeds)


if __name__ == "__main__":
    main()
