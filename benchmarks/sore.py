"""What SORE occupies, and how fast it is on an ECP5-85k of speed grade 6.

    python benchmarks/sore.py [--date YYYY-MM-DD] [-o benchmarks/results/sore.json]

Cells as Yosys counts them; the clock is the median of three placer seeds of nextpnr, with registers before
and behind the ports. Results are written as they come: the 32 lanes take minutes of CPU to place. Nothing
here is a test.
"""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path

import accelsim
from accelsim.parameters import as_dict
from accelsim.report import write_atomically
from accelsim.units.sore import Sore
from accelsim_rtl.kit import synthesis
from accelsim_rtl.kit.ports import ports
from accelsim_rtl.kit.verilog import verilog
from accelsim_rtl.units import find

RESULTS = Path(__file__).parent / "results" / "sore.json"
PLACER_SEEDS = 3
FORMS = [
    Sore(n=2, m=8, lanes=1),
    Sore(n=2, m=4, lanes=4),
    Sore(n=4, m=8, lanes=4),
    Sore(n=2, m=8, lanes=32),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    parser.add_argument("-o", "--output", default=str(RESULTS))
    given = parser.parse_args()
    rows: list[dict[str, object]] = []
    for parameters in FORMS:
        rows += measure(parameters)
        results = {
            "command": "python benchmarks/sore.py",
            "date": given.date,
            "versions": {"accelsim": accelsim.__version__} | synthesis.versions(route=True),
            "rows": rows,
        }
        write_atomically(given.output, json.dumps(results, indent=2) + "\n")


def measure(parameters: Sore) -> list[dict[str, object]]:
    """One row a family of devices; the clock in that of the ECP5."""
    unit = find("sat.sore")
    component = unit.instance(parameters)
    text = verilog(component, unit.top)
    rows: list[dict[str, object]] = []
    for target in ("xilinx", "ecp5"):
        row = as_dict(parameters) | {"target": target, "device": synthesis.TARGETS[target].device}
        row |= synthesis.synthesise(text, unit.top, target)
        if target == "ecp5":
            row |= synthesis.route(text, unit.top, ports(component), seeds=PLACER_SEEDS)
        print({name: value for name, value in row.items() if name != "cells"}, flush=True)
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
