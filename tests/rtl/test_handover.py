"""What others build with: lint of every unit, and projects for boards."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotb")

from accelsim.parameters import as_dict
from accelsim_rtl.axi.flat import Flat, has_bus
from accelsim_rtl.kit import simulators
from accelsim_rtl.kit.boards import BOARDS
from accelsim_rtl.kit.folder import contents
from accelsim_rtl.kit.lint import MEANT, warnings
from accelsim_rtl.kit.verilog import verilog
from accelsim_rtl.units import UNITS, find

pytestmark = pytest.mark.rtl

CELLS = """
module IBUFDS(input I, input IB, output O); assign O = I; endmodule
module BUFG(input I, output O); assign O = I; endmodule
"""
"""What a simulator must know of the family's own cells."""


def test_verilator_says_of_no_unit_what_is_not_meant_and_all_that_is_meant_of_some():
    simulators.require("verilator")
    seen = set()
    for unit in UNITS.values():
        component = unit.instance(unit.presets["tiny"])
        texts = {unit.top: verilog(component, unit.top)}
        if has_bus(component):
            flat = Flat(unit.instance(unit.presets["tiny"]))
            texts[f"{unit.top}_axi"] = verilog(flat, f"{unit.top}_axi")
        for top, text in texts.items():
            for line in warnings(text, top):
                name = line.partition(":")[0]
                assert name in MEANT, line
                seen.add(name)
    assert seen == set(MEANT)


def test_a_latch_is_not_meant():
    text = "module m(input a, b, output reg q);\nalways @* if (a) q = b;\nendmodule\n"
    assert [line.partition(":")[0] for line in warnings(text, "m")] == ["LATCH"]


@pytest.mark.parametrize("board", ["vcu1525", "kcu105", "ulx3s"])
def test_a_project_names_its_files_and_pins_and_its_top_can_be_built(board: str, tmp_path: Path):
    unit = find("kit.fifo")
    parameters = unit.presets["tiny"]
    texts = contents(
        unit, parameters, values=as_dict(parameters), preset="tiny", seed=0, accelsim="0", board=board
    )
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    place = BOARDS[board]
    scripts = [name for name in texts if name.endswith(".tcl") or name == "Makefile"]
    assert len(scripts) == (1 if place.format == "lpf" else 2)
    for script in scripts:
        named = set(re.findall(r"kit_fifo\w*\.(?:v|xdc|lpf)\b", texts[script]))
        assert {"kit_fifo.v", "kit_fifo_board.v", f"kit_fifo.{place.format}"} <= named <= set(texts)
        assert place.format == "lpf" or f"-part {place.device}" in texts[script]
    constraints = texts[f"kit_fifo.{place.format}"]
    assert place.light is not None
    for pin in (*place.pins, place.light[0]):
        assert re.search(rf"\b{pin}\b", constraints)
    top = texts["kit_fifo_board.v"]
    ports = re.search(r"module kit_fifo_board\((.*)\);", top)
    assert ports is not None
    assert set(re.findall(r"(?:input|output) (\w+)", ports[1])) == {*place.ports, "light"}
    assert set(re.findall(r'get_ports (\w+)|(?:COMP|PORT) "(\w+)"', constraints)) <= {
        (port, "") if place.format == "xdc" else ("", port) for port in (*place.ports, "light")
    }
    if shutil.which("iverilog"):
        (tmp_path / "cells.v").write_text(CELLS)
        sources = ["cells.v", "kit_fifo.v", "kit_fifo_board.v"]
        command = ["iverilog", "-g2005", "-s", "kit_fifo_board", "-o", "design", *sources]
        subprocess.run(command, cwd=tmp_path, check=True)


def test_boards_without_a_light_get_constraints_alone():
    unit = find("kit.fifo")
    parameters = unit.presets["tiny"]
    texts = contents(
        unit, parameters, values=as_dict(parameters), preset="tiny", seed=0, accelsim="0", board="arty_a7"
    )
    assert "kit_fifo.xdc" in texts
    assert not any(name.endswith(("_board.v", ".tcl")) for name in texts)
