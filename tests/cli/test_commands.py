"""The command line: what it prints, and its JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import ATTENTION, COMMANDS, GEMM, as_json, printed

from accelsim import __version__
from accelsim.cli import main
from accelsim.models import networks
from accelsim.prune import known


def test_a_gemm_prints_its_cycles(capsys: pytest.CaptureFixture[str]) -> None:
    # OS: folds x (k + rows + cols - 2) = 64 x 78.
    assert "4,992" in printed(capsys, *GEMM, "--dataflow", "os")


def test_the_json_of_a_gemm_has_no_baseline_when_dense_was_asked(capsys: pytest.CaptureFixture[str]) -> None:
    values = as_json(capsys, *GEMM, "--dataflow", "os")
    assert values["compute_cycles"] == 4992
    assert values["baseline"] is None
    assert values["speedup"] is None
    assert (values["accelerator"], values["preset"], values["synthetic"]) == ("systolic", "8", False)
    assert values["parameters"]["rows"] == 8
    assert values["parameters"]["dataflow"] == "os"


def test_a_pruned_gemm_stands_beside_dense(capsys: pytest.CaptureFixture[str]) -> None:
    dense, pruned = as_json(capsys, *GEMM), as_json(capsys, *GEMM, "--pattern", "2:8")
    assert pruned["baseline"]["cycles"] == dense["cycles"]
    assert pruned["speedup"] == dense["seconds"] / pruned["seconds"] > 1
    assert pruned["macs"] == {"dense": 64**3, "done": 64**3 // 4}
    assert pruned["baseline"]["macs"] == {"dense": 64**3, "done": 64**3}
    assert pruned["synthetic"] is True


@pytest.mark.parametrize("on", ["systolic:8", "sat:tiny", "stc:tiny"])
def test_n_equal_to_m_is_dense_to_the_cycle(capsys: pytest.CaptureFixture[str], on: str) -> None:
    values = as_json(capsys, "gemm", "24", "40", "56", "--on", on, "--pattern", "4:4")
    assert values["cycles"] == values["baseline"]["cycles"]
    assert values["speedup"] == 1.0
    assert values["cycles"] == as_json(capsys, "gemm", "24", "40", "56", "--on", on)["cycles"]


def test_n_equal_to_m_on_sat_says_what_time_multiplexing_would_take(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "time-multiplexed 4:4" in printed(
        capsys, "gemm", "24", "40", "56", "--on", "sat:tiny", "--pattern", "4:4"
    )


def test_set_reaches_nested_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    values = as_json(capsys, *GEMM, "--set", "dram.tCCD_L=60", "--set", "rows=4")
    assert values["parameters"]["dram"]["tCCD_L"] == 60
    assert values["parameters"]["rows"] == 4
    assert values["cycles"] > as_json(capsys, *GEMM, "--set", "rows=4")["cycles"]


def test_a_pattern_beyond_the_group_limit_says_what_limits_it(capsys: pytest.CaptureFixture[str]) -> None:
    wide = ["gemm", "16", "16", "256", "--on", "sat:tiny", "--pattern", "2:64"]
    assert "no N:M pattern of M <= 32 (group_limit): dense cycles" in printed(capsys, *wide)
    assert as_json(capsys, *wide, "--set", "group_limit=64")["speedup"] > 4


def test_dtypes_replace_the_machines_own(capsys: pytest.CaptureFixture[str]) -> None:
    values = as_json(capsys, *GEMM, "--dtype", "int8", "--out-dtype", "fp16")
    assert (values["parameters"]["dtype"], values["parameters"]["out_dtype"]) == ("int8", "fp16")
    assert values["dram"]["read_bytes"] < as_json(capsys, *GEMM)["dram"]["read_bytes"]


def test_attention_by_counts(capsys: pytest.CaptureFixture[str]) -> None:
    values = as_json(capsys, *ATTENTION, "--layers", "3", "--bits", "6+4", "--refetch", "0.5")
    assert len(values["layers"]) == 3
    assert values["synthetic"] is True
    assert values["macs"]["dense"] == 3 * 2 * 32 * (32 + 32)
    assert values["baseline"]["macs"]["done"] == values["macs"]["dense"]


def test_explain_tells_stages_and_facts(capsys: pytest.CaptureFixture[str]) -> None:
    short, long = printed(capsys, *GEMM), printed(capsys, *GEMM, "--explain")
    assert "upstream" in long
    assert "upstream" not in short
    assert long.count("utilisation") == short.count("utilisation") == 1


def test_a_saved_workload_runs(capsys: pytest.CaptureFixture[str], saved: Path) -> None:
    assert main(["run", str(saved), "--on", "sat:tiny", "--json", "-"]) == 0
    out, err = capsys.readouterr()
    values = json.loads(out)
    assert err.count("\n") == 1
    assert err.startswith("warning: sat does not run 1 of 3 layers")
    assert err.endswith("which are in no total: scan is not a matrix product\n")
    assert [layer["simulated"] for layer in values["layers"]] == [True, True, False]
    assert values["model"] == "small"
    assert values["speedup"] > 1
    assert values["assumptions"][0] == "inputs: 1x16"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("gemm 8 8 8 --on spatten:tiny", "attention only (FC layers need the e2e machine)"),
        ("gemm 8 8 8 --on a3", "attention only, not matmul"),
        ("attention --on a3 --keys 8 --values 8", "generation (1 query on a K of its own) is not supported"),
        (
            "attention --on spatten:tiny --keys 8 --values 8 --dim 33",
            "dim must be 1..32 (multipliers), not 33",
        ),
        ("attention --on mnnfast --keys 8 --values 8 --dim 65", "dim must be <= 64 (multipliers), not 65"),
    ],
)
def test_nothing_simulated_is_a_success(
    capsys: pytest.CaptureFixture[str], command: str, reason: str
) -> None:
    assert main([*command.split(), "--json", "-"]) == 0
    out, err = capsys.readouterr()
    values = json.loads(out)
    assert values["speedup"] is None
    assert [layer["simulated"] for layer in values["layers"]] == [False]
    assert values["layers"][0]["macs_share"] == 1
    assert reason in values["layers"][0]["reason"]
    assert err.count("\n") == 1
    assert "100.0%" in err


def test_compare_prints_each_machine_and_gives_a_list(
    capsys: pytest.CaptureFixture[str], saved: Path
) -> None:
    assert main(["compare", str(saved), "--on", "sat:tiny,systolic:8"]) == 0
    out, err = capsys.readouterr()
    assert err.count("warning: ") == 2
    assert "sat:tiny" in out
    assert "systolic:8" in out
    assert main(["compare", str(saved), "--on", "sat:tiny,systolic:8", "--json", "-"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert [value["accelerator"] for value in values] == ["sat", "systolic"]


def test_json_goes_to_a_file_beside_the_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    text = printed(capsys, *GEMM, "--json", str(path))
    assert "4,992" in text or "cycles" in text
    assert json.loads(path.read_text()) == as_json(capsys, *GEMM)
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("accelerators", ["systolic", "sat", "stc", "spatten", "a3", "mnnfast"]),
        ("models", ["minilm", "smollm2", "efficientnet-lite0", "vit-s", *networks()]),
        ("recipes", [*known()]),
    ],
)
def test_lists_are_plain_lines_with_the_name_first(
    capsys: pytest.CaptureFixture[str], command: str, names: list[str]
) -> None:
    lines = printed(capsys, command).splitlines()
    assert [line.split("  ")[0] for line in lines] == names
    assert all(len(line.split(maxsplit=1)) == 2 for line in lines)


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "--version") == f"accelsim {__version__}\n"
    assert "Commands:" in printed(capsys)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str], command: str) -> None:
    text = printed(capsys, command, "--help")
    example = text.split("Example:\n")[1].splitlines()[0].strip()
    assert example.startswith(f"accelsim {command}")


@pytest.mark.parametrize(
    "arguments", [[*GEMM, "--pattern", "2:4"], [*ATTENTION, "--bits", "8+4", "--refetch", "0.5"]]
)
def test_json_is_the_same_bytes_each_time_and_uncompiled(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    here = [printed(capsys, *arguments, "--json", "-") for _ in range(2)]
    assert here[0] == here[1]
    plain = subprocess.run(
        [sys.executable, "-m", "accelsim", *arguments, "--json", "-"],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert plain.stdout == here[0]
    assert plain.stderr == ""


def test_another_seed_gives_other_scores(capsys: pytest.CaptureFixture[str]) -> None:
    many = [*ATTENTION, "--layers", "8"]
    assert as_json(capsys, *many) != as_json(capsys, *many, "--seed", "1")
