"""The rows of `results/hardware.json` as a table for the docs.

    python benchmarks/hardware_table.py [spatten]

Look-up tables, registers, DSP slices and block RAMs of UltraScale+ (36 kbit) and of an ECP5 (18 kbit); the
clock on the ECP5 with the number of placer seeds, and where the path begins and ends that sets it. Cells
of a family that was not counted are empty.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "hardware.json"
CELLS = ("lut", "ff", "dsp", "bram")
HEAD = ["form", "UltraScale+: LUT", "FF", "DSP", "BRAM", "ECP5: LUT", "FF", "DSP", "BRAM"]
HEAD += ["MHz (seeds)", "critical path"]


def table(rows: list[dict[str, Any]], name: str) -> str:
    """Markdown of the rows of the unit or folder of units `name`."""
    found = [row for row in rows if row["unit"] == name or row["unit"].startswith(f"{name}.")]
    rule = "|---" * len(HEAD) + "|\n"
    head, *lines = (f"| {' | '.join(cells)} |\n" for cells in [HEAD, *map(_cells, found)])
    return "".join([head, rule, *lines])


def _cells(row: dict[str, Any]) -> list[str]:
    counts = [
        f"{row[target][kind]:,}" if target in row else "" for target in ("xilinx", "ecp5") for kind in CELLS
    ]
    clock = path = ""
    if "fmax_mhz" in row:
        clock = f"{row['fmax_mhz']:.1f} ({len(row['fmax_mhz_by_seed'])})"
    if "critical_path" in row:
        path = " to ".join(f"`{_register(row['critical_path'][end])}`" for end in ("from", "to"))
    return [f"`{row['form']}`", *counts, clock, path]


def _register(cell: str) -> str:
    """What nextpnr's cell was called in the Verilog: `unit.store.level_TRELLIS_FF_Q_1` is `store.level`."""
    return re.split(r"_TRELLIS_|\$", cell.removeprefix("unit."), maxsplit=1)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", nargs="?", default="spatten", help="a unit, or what their names begin with")
    print(table(json.loads(RESULTS.read_text())["rows"], parser.parse_args().name), end="")


if __name__ == "__main__":
    main()
