"""The bench under cocotb: every scenario of the file that BENCH_SCENARIOS names, one after the other.

What came out is written to the file that BENCH_RESULTS names, if there is one. The clock is driven here:
inputs change on its falling edge, outputs are read just before the rising one.
"""

import json
import os
from pathlib import Path

import cocotb
from cocotb.triggers import Timer

from .drive import Drive, differences, wrong_beats

HALF_PERIOD = 5
"""Nanoseconds."""


@cocotb.test()
async def rows_are_those_of_the_model(dut):
    """Every row, every beat and every total is that of the file."""
    bench = json.loads(Path(os.environ["BENCH_SCENARIOS"]).read_text())
    results, complaints = [], []
    for scenario in bench["scenarios"]:
        drive = Drive(scenario, bench["columns"])
        await run(dut, drive)
        lines = differences(bench["columns"], scenario["rows"], drive.rows)
        lines += wrong_beats(scenario["expected"], drive.taken, scenario["merged"])
        lines += drive.broken
        if drive.cycles != scenario["cycles"]:
            lines.append(f"{drive.cycles} cycles, not {scenario['cycles']}")
        complaints += [f"{scenario['name']}: {line}" for line in lines]
        results.append(drive.result())
    if "BENCH_RESULTS" in os.environ:
        Path(os.environ["BENCH_RESULTS"]).write_text(json.dumps(results))
    assert not complaints, "\n".join([f"{len(complaints)} differences", *complaints[:20]])


async def run(dut, drive):
    """One scenario, after two clocks of reset."""
    pins = {name: getattr(dut, name) for name in ["rst", *drive.inputs()]}
    outputs = {name: getattr(dut, name) for name in drive.columns}
    driven = {}

    def put(values):
        for name, value in values.items():
            if driven.get(name) != value:
                pins[name].value = driven[name] = value

    for _ in range(2):
        put(drive.inputs() | {"rst": 1})
        await _tick(dut)
    while drive.running:
        put(drive.inputs())
        await Timer(HALF_PERIOD, "ns")
        drive.sampled(_Reading(outputs))
        dut.clk.value = 1
        await Timer(HALF_PERIOD, "ns")
        dut.clk.value = 0


async def _tick(dut):
    dut.clk.value = 0
    await Timer(HALF_PERIOD, "ns")
    dut.clk.value = 1
    await Timer(HALF_PERIOD, "ns")
    dut.clk.value = 0


class _Reading:
    """Outputs by name, each read only when it is asked for; an unknown value reads "x"."""

    def __init__(self, outputs):
        self._outputs = outputs

    def __getitem__(self, name):
        try:
            return int(self._outputs[name].value)
        except ValueError:
            return "x"
