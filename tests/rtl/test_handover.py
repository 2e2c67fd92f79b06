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
module BUFGCE_DIV #(parameter BUFGCE_DIVIDE = 1) (input I, CE, CLR, output O); assign O = I; endmodule
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


SCRIPT = """
foreach command {read_verilog read_xdc synth_design report_utilization opt_design place_design phys_opt_design
                 route_design report_timing_summary write_checkpoint write_bitstream create_project add_files
                 set_property update_compile_order} {
  proc $command args "lappend ::said \\[linsert \\$args 0 $command]"
}
proc current_fileset {} {return sources_1}
proc get_timing_paths which {return $which}
proc get_property {name path} {global slack; return $slack($path)}
array set slack {-setup 0.1 -hold HOLD}
set failed [catch {source FILE} message]
foreach line $said {puts $line}
puts "$failed $message"
"""
"""Vivado's commands that only tell how they were called, and the slack of its paths."""


@pytest.mark.skipif(shutil.which("tclsh") is None, reason="tclsh reads the scripts")
@pytest.mark.parametrize(
    ("script", "hold"), [("build.tcl", "0.0"), ("build.tcl", "-0.1"), ("project.tcl", "0.0")]
)
def test_a_vivado_script_runs_from_anywhere_and_writes_no_bitstream_without_timing(
    script: str, hold: str, tmp_path: Path
):
    unit = find("kit.fifo")
    parameters = unit.presets["tiny"]
    texts = contents(
        unit, parameters, values=as_dict(parameters), preset="tiny", seed=0, accelsim="0", board="vcu1525"
    )
    place = tmp_path / "a folder"
    place.mkdir()
    (place / script).write_text(texts[script])
    stubs = SCRIPT.replace("FILE", f"{{{place / script}}}").replace("HOLD", hold)
    done = subprocess.run(["tclsh"], input=stubs, cwd=tmp_path, capture_output=True, text=True, check=True)
    *said, last = done.stdout.splitlines()
    assert "kit_fifo.v kit_fifo_board.v" in said[0] + said[1]
    met = float(hold) >= 0
    assert last.startswith("0" if met else "1 timing is not met")
    assert any(line.startswith("write_bitstream") for line in said) == (met and script == "build.tcl")


@pytest.mark.parametrize("board", [None, "ulx3s", "vcu1525"])
def test_the_readme_names_every_file_and_no_other(board: str | None):
    for name in ("kit.fifo", "axi.registers"):
        unit = find(name)
        parameters = unit.presets["tiny"]
        texts = contents(
            unit, parameters, values=as_dict(parameters), preset="tiny", seed=0, accelsim="0", board=board
        )
        named = set(re.findall(r"^\| `([^`]+)` \|", texts["README.md"], re.M))
        there = {f"{path.partition('/')[0]}/" if "/" in path else path for path in texts}
        assert named == there - {"README.md"} | {"files.sha256"}
        assert ("## On the board" in texts["README.md"]) == (board is not None)


def test_boards_without_a_light_get_constraints_alone():
    unit = find("kit.fifo")
    parameters = unit.presets["tiny"]
    texts = contents(
        unit, parameters, values=as_dict(parameters), preset="tiny", seed=0, accelsim="0", board="arty_a7"
    )
    assert "kit_fifo.xdc" in texts
    assert not any(name.endswith(("_board.v", ".tcl")) for name in texts)
