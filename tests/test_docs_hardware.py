"""The table of cells and clocks in the docs is what `benchmarks/hardware_table.py` makes of the results."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
pytestmark = pytest.mark.skipif(not BENCHMARKS.exists(), reason="needs the benchmarks of a checkout")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("hardware_table")
    sys.modules.pop("hardware_table", None)


def test_the_docs_hold_every_figure_of_the_results(script: Any) -> None:
    rows = json.loads(script.RESULTS.read_text())["rows"]
    assert script.table(rows, "spatten") in (ROOT / "docs" / "rtl_spatten.md").read_text()


def test_a_row_is_told_with_its_clock_and_the_ends_of_its_path_or_without(script: Any) -> None:
    counts = {"lut": 1234, "ff": 5, "dsp": 6, "bram": 0.5}
    path = {"from": "unit.store.level_TRELLIS_FF_Q_1", "to": "unit.kept.0.7$DPRAM_COMB3"}
    rows = [
        {"form": "a.b:c", "unit": "a.b", "xilinx": counts, "ecp5": counts},
        {
            "form": "a:d",
            "unit": "a",
            "xilinx": counts,
            "ecp5": counts,
            "fmax_mhz": 90.0,
            "fmax_mhz_by_seed": [80.5, 90.0, 91.0],
            "critical_path": path,
        },
        {"form": "a:e", "unit": "a", "xilinx": counts},
        {"form": "ab:d", "unit": "ab", "xilinx": counts, "ecp5": counts},
    ]
    assert script.table(rows, "a").splitlines()[2:] == [
        "| `a.b:c` | 1,234 | 5 | 6 | 0.5 | 1,234 | 5 | 6 | 0.5 |  |  |",
        "| `a:d` | 1,234 | 5 | 6 | 0.5 | 1,234 | 5 | 6 | 0.5 | 90.0 (3) | `store.level` to `kept.0.7` |",
        "| `a:e` | 1,234 | 5 | 6 | 0.5 |  |  |  |  |  |  |",
    ]
