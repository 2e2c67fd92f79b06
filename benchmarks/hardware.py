"""What hardware units occupy, and how fast they are on an ECP5-85k of speed grade 6.

    python benchmarks/hardware.py [UNIT[:PRESET][,KEY=VALUE]...]... [--seeds 3] [--clock-only]
                                  [--target xilinx|ecp5]... [-o FILE]

Cells as Yosys counts them; the clock is the median of the placer seeds of nextpnr, with registers before and
behind the ports; the critical path is that of the median. A form takes minutes of CPU; its row is added to
the file, or replaced there, as it comes; `--clock-only` keeps cells that were counted of the same Verilog.
Without a name: all of FORMS. `--target`: this family alone, for what is too large for the ECP5. Nothing here
is a test.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiment import options, save, so_far

import accelsim
from accelsim.parameters import as_dict, parse_settings, replace_all
from accelsim_rtl.kit import synthesis
from accelsim_rtl.kit.ports import ports
from accelsim_rtl.kit.unit import Unit
from accelsim_rtl.kit.verilog import verilog
from accelsim_rtl.units import find

COUNTED = ("xilinx", "ecp5")

FORMS = (
    "spatten.prefix_sum:full",
    "spatten.prefix_sum:fast",
    "spatten.zero_eliminator:full",
    "spatten.zero_eliminator:fast",
    "spatten.score_accumulator:full",
    "spatten.crossbar:addresses",
    "spatten.crossbar:data",
    "spatten.bit_width_converter:full",
    "spatten.exponent:full",
    "spatten.exponent:narrow",
    "spatten.softmax:full",
    "spatten.softmax:narrow",
    "spatten.decision:full",
    "spatten.dot_product:eighth",
    "spatten.score_scale:full",
    "spatten.value_selection:full",
    "spatten.value_product:eighth",
    "spatten.head:eighth",
    "spatten.head:tiny",
    "spatten.fetcher:channels",
    "spatten.vector_store:eighth",
    "spatten.fetch_stage:hbm2",
    "spatten.topk:full",
    "spatten.topk:radix",
    "spatten:eighth",
    "spatten:tiny",
    "kit.fifo:distributed",
    "kit.fifo:block",
    "kit.arbiter:four",
    "sat.sore:paper,lanes=1",
    "sat.sore:paper,m=4,lanes=4",
    "sat.sore:paper,n=4,lanes=4",
    "sat.sore:paper",
    "sat.uspe:paper",
    "sat.uspe:paper,multiplier_latency=3,adder_latency=5,interleave=8",
    "sat.wuve:paper,lanes=1",
    "sat.transpose:paper",
    "kit.fp16_multiplier:full",
    "kit.fp32_multiplier:full",
    "kit.fp32_adder:full",
    "kit.fp16_to_fp32:full",
    "kit.fp32_to_fp16:full",
    "stc.metadata:int8",
    "stc.selector:int8",
    "stc.selector:any",
    "stc.dot_product:int8",
    "stc.dot_product:dense",
    "stc.tile:four",
    "stc.tile:four,sparse=false",
    "stc.tile:eight",
    "stc.tile:eight,sparse=false",
    "stc.tile:sixteen",
    "stc.tile:sixteen,sparse=false",
    "stc:eight",
)


def main() -> None:
    parser = options(__file__, __doc__)
    parser.add_argument("forms", nargs="*", metavar="UNIT[:PRESET][,KEY=VALUE]...", default=FORMS)
    parser.add_argument("--seeds", type=int, default=3, help="of the placer; 0: cells alone, no clock")
    parser.add_argument("--clock-only", action="store_true", help="keep cells of the same Verilog")
    parser.add_argument("--target", action="append", choices=COUNTED, help="count these alone; else both")
    given = parser.parse_args()
    targets = given.target or COUNTED
    for form in given.forms:
        kept = next((row for row in rows_of(given.output) if row["form"] == form), {})
        cells = kept if given.clock_only else {}
        measured = measure(*chosen(form), seeds=given.seeds, cells=cells, targets=targets)
        row = {"form": form} | measured | {"date": given.date}
        print(json.dumps(row), flush=True)
        record(given.output, row)


def chosen(form: str) -> tuple[Unit, Any]:
    """A unit and its parameters from words such as `sat.sore:paper,lanes=1`."""
    name, *settings = form.split(",")
    name, _, preset = name.partition(":")
    unit = find(name)
    parameters = unit.presets[preset or next(iter(unit.presets))]
    return unit, replace_all(parameters, parse_settings(settings))


def measure(
    unit: Unit, parameters: Any, *, seeds: int, cells: dict[str, Any], targets: Sequence[str] = COUNTED
) -> dict[str, Any]:
    """Cells in the families of `targets`, and the clock of one unit where the ECP5 is among them.

    cells: an older row of the same form, whose cells are kept where they are of the same Verilog; empty to
    count them. `verilog`: of each family the SHA-256 of the text that was counted.
    """
    row: dict[str, Any] = {"unit": unit.name, "parameters": as_dict(parameters), "verilog": {}}
    for target in targets:
        component = unit.instance(parameters, target=target)
        text = verilog(component, unit.top)
        row["verilog"][target] = digest = hashlib.sha256(text.encode()).hexdigest()
        same = cells.get("verilog", {}).get(target) == digest
        row[target] = cells[target] if same else synthesis.synthesise(text, unit.top, target)
        if target == "ecp5" and seeds:
            row |= synthesis.route(text, unit.top, ports(component), seeds=seeds)
    tools = synthesis.versions(route="fmax_mhz" in row)
    return row | {"versions": {"accelsim": accelsim.__version__} | tools}


def rows_of(output: Path) -> list[dict[str, Any]]:
    """The rows that a file of results holds so far."""
    rows: list[dict[str, Any]] = so_far(output).get("rows", [])
    return rows


def record(output: Path, row: dict[str, Any]) -> None:
    """Put a row into the results, in the place of one of the same form; in the order of FORMS."""
    rows = [other for other in rows_of(output) if other["form"] != row["form"]] + [row]
    order = {form: number for number, form in enumerate(FORMS)}
    rows.sort(key=lambda each: (order.get(each["form"], len(order)), each["form"]))
    results = {
        "command": "python benchmarks/hardware.py",
        "devices": {target: synthesis.TARGETS[target].device for target in COUNTED},
        "rows": rows,
    }
    save(output, results)


if __name__ == "__main__":
    main()
