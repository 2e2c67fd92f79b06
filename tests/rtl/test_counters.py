"""Counters that hang on how memory and driver wait: software reads what the rows of the model show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotb")

from accelsim.units.sat.model import STATES
from accelsim_rtl.bench.drive import Drive, replay
from accelsim_rtl.kit.ports import columns
from accelsim_rtl.kit.verify import Bench
from accelsim_rtl.units import find

pytestmark = pytest.mark.rtl

WAITING = ("random", "reset")
"""Scenarios in which memory and driver wait, and begin anew."""

Rows = list[dict[str, Any]]


def sat_busy(rows: Rows, scenario: dict[str, Any], control: int) -> int:
    """Clocks in which the controller has a job."""
    return sum(row["state"] != STATES.index("idle") for row in rows)


def stc_multiplying(rows: Rows, scenario: dict[str, Any], control: int) -> int:
    """Clocks in which the tile engine has a pass."""
    return sum(row["running"] for row in rows)


def stc_busy(rows: Rows, scenario: dict[str, Any], control: int) -> int:
    """From the clock behind the begin of a job to its end, job by job.

    A job begins two clocks behind the word that told it (its pulse, then the job that waits), but behind the
    end of the one before; its `done` is there in the clock behind its end.
    """
    addresses, taken = iter(scenario["sources"]["s_axil_aw"]), scenario["ready"]["done"]
    first = len(scenario["rows"]) - len(rows)
    told, ends, shown = [], [], False
    for clock, row in enumerate(rows, first):
        if row["s_axil_aw_ready"] and next(addresses) == control:
            told.append(clock)
        if row["done_valid"] and not shown:
            ends.append(clock - 1)
        shown = row["done_valid"] and taken[clock % len(taken)] == "0"
    begins = [max(word + 2, before + 1) for word, before in zip(told, [-1, *ends], strict=False)]
    return sum(end - begin for begin, end in zip(begins, ends, strict=True))


@pytest.mark.parametrize(
    ("name", "counters"),
    [("sat", {"busy": sat_busy}), ("stc", {"multiplying": stc_multiplying, "busy": stc_busy})],
    ids=["sat", "stc"],
)
def test_a_counter_is_what_the_rows_show(name, counters):
    unit = find(name)
    registers = unit.register_map(unit.least)
    bench = Bench(unit, unit.least)
    prepared, names = bench.prepare(4), columns(bench.ports)
    prepared = replace(prepared, scenarios=[each for each in prepared.scenarios if each["name"] in WAITING])
    for scenario in prepared.scenarios:
        behind = ["done", len(scenario["expected"]["done"])]
        scenario["sources"]["s_axil_ar"] += [registers.offsets[f"count_{counter}"] for counter in counters]
        waits = {"s_axil_ar": [*scenario["after"]["s_axil_ar"], *[behind] * len(counters)]}
        scenario["after"] = scenario["after"] | waits
        scenario["expected"]["s_axil_r"] += [None] * len(counters)
        drive = Drive(scenario, names)
        replay(unit.model(unit.least), drive)
        scenario["rows"], scenario["cycles"], scenario["records"] = drive.rows, drive.cycles, drive.records
        lived = [dict(zip(names, row, strict=True)) for row in drive.rows[drive.started :]]
        found = [count(lived, scenario, registers.offsets["control"]) for count in counters.values()]
        scenario["expected"]["s_axil_r"][-len(found) :] = found
        assert drive.taken["s_axil_r"][-len(found) :] == found, scenario["name"]
        assert all(found)
    (verdict,) = bench.run([prepared], "icarus")
    assert verdict.passed, verdict.complaints[:10]
