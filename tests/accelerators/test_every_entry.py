"""Every entry of the energy table, and of a memory, changes something that is seen from outside."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from small_machines import CASES, before, behaviour

from accelsim.accelerators import Sat
from accelsim.accelerators.base import memory_of
from accelsim.dram import DEVICES, Dram
from accelsim.energy import Energy
from accelsim.machine import Timeline, simulate
from accelsim.parameters import replace_by_path
from accelsim.plan import Layout, Plan, Stage

# The machine whose parts each entry of the energy table is a cost of.
ENERGY = {
    "sat": [
        "node_nm",
        "volts",
        "fabric",
        "fpga_factor",
        "sram_bit_um2",
        "sram_efficiency",
        "sram_fixed_share",
        "multiply_fp16_pj",
        "multiply_fp16_um2",
        "add_fp32_pj",
        "add_fp32_um2",
        "register_bit_pj",
        "register_bit_um2",
    ],
    "spatten": [
        "add_int8_pj",
        "add_int32_pj",
        "multiply_int8_pj",
        "multiply_int32_pj",
        "multiply_fp32_pj",
        "add_int8_um2",
        "add_int32_um2",
        "multiply_int8_um2",
        "multiply_int32_um2",
        "multiply_fp32_um2",
        "wire_pj_per_bit_mm",
        "sram_8kib_pj",
        "sram_32kib_pj",
        "sram_1mib_pj",
    ],
}


def test_every_entry_of_the_energy_table_is_tried() -> None:
    # Between two entries of floating point the narrower is met with bf16.
    rest = {"add_fp16_pj", "add_fp16_um2"}
    tried = {name for names in ENERGY.values() for name in names}
    assert tried | rest == {field.name for field in fields(Energy)}
    for name in rest:
        small, large = Energy(), replace_by_path(Energy(), name, "0.3")
        assert small.add("bf16") != large.add("bf16")


@pytest.mark.parametrize(("name", "entry"), [(name, entry) for name in ENERGY for entry in ENERGY[name]])
def test_a_changed_energy_entry_is_seen_from_outside(name: str, entry: str) -> None:
    machine, layers, _ = CASES[name]
    known = getattr(machine.energy, entry)
    value = "asic" if entry == "fabric" else str(0.9 * known)
    changed = replace_by_path(machine, f"energy.{entry}", value)
    assert behaviour(changed, layers) != before(name)


# Of a memory; `device` and `source` are words for the reader, `offers` is for traces alone.
MEMORY = {
    "clock_ps": "2000",
    "burst_bytes": "32",
    "channels": "3",
    "bank_groups": "1",
    "banks": "2",
    "columns": "64",
    "BL": "8",
    "CL": "40",
    "CWL": "14",
    "tRCDRD": "60",
    "tRCDWR": "60",
    "tRP": "60",
    "tRAS": "200",
    "tRC": "300",
    "tWR": "200",
    "tRTP": "90",
    "tCCD_S": "9",
    "tCCD_L": "12",
    "tRRD_S": "20",
    "tRRD_L": "30",
    "tWTR_S": "50",
    "tWTR_L": "70",
    "tFAW": "200",
    "tRFC": "600",
    "tREFI": "1800",
    "queue": "8",
    "mapping": "RoCoRaBaCh",
    "interleave": "256",
    "outstanding": "4",
    "page": "closed",
}


def scattered(machine: Sat) -> Timeline:
    """Reads and writes that meet every timing: half of them near each other, half anywhere."""
    rng = np.random.default_rng(0)
    stages = (Stage(name="load", port="r"), Stage(name="store", port="w", write=True))
    plan = Plan(layout=Layout(stages=stages), jobs=1)
    for stage in ("load", "store"):
        lines = np.where(rng.random(300) < 0.5, np.arange(300), rng.integers(0, 1 << 16, 300))
        plan.add_runs(stage, 0, lines * 64, 1, 64)
    return simulate(plan, memory_of(machine))


@pytest.mark.parametrize("name", MEMORY)
def test_a_changed_memory_is_seen_from_outside(name: str) -> None:
    assert set(MEMORY) <= {field.name for field in fields(Dram)}
    machine = Sat(clock_hz=1e9, dram=replace(DEVICES["DDR4-2400"], channels=2, tREFI=1500))
    changed = replace_by_path(machine, f"dram.{name}", MEMORY[name])
    before, after = scattered(machine), scattered(changed)
    assert (before.cycles, before.traffic) != (after.cycles, after.traffic)
