"""The command line: what it prints, its JSON, and one line with exit status 2 for every mistake."""

import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim import Attention, Matmul, Unknown, Workload, __version__
from accelsim.cli import main
from accelsim.golden.formats import Bitmap
from accelsim.models import networks
from accelsim.prune import known

GEMM = ["gemm", "64", "64", "64", "--on", "systolic:8"]
ATTENTION = [
    "attention",
    "--on",
    "spatten:tiny",
    "--keys",
    "32",
    "--values",
    "8",
    "--dim",
    "32",
    "--heads",
    "2",
]
COMMANDS = ["run", "trace", "compare", "gemm", "attention", "models", "accelerators", "recipes"]
COMMANDS += ["verilog", "verify", "synth", "units"]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A workload file with a pruned product, attention and an operator that nothing runs."""
    kept = np.zeros((32, 64), np.bool_)
    kept[:, ::4] = True
    workload = Workload(
        model="small",
        layers=(
            Matmul(name="block.0.up", m=16, n=32, k=64, mask=Bitmap.pack(kept)),
            Attention(
                name="block.0.attention", heads=2, kv_heads=2, queries=16, keys=16, dim=32, value_dim=32
            ),
            Unknown(name="block.0.scan", op="scan", macs=100),
        ),
        notes=("inputs: 1x16",),
    )
    workload.save(tmp_path / "small.npz")
    return tmp_path / "small.npz"


@pytest.fixture(autouse=True)
def on_a_fast_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here takes long enough for a line of progress, not even where the engine is compiled first."""
    monkeypatch.setattr("accelsim.cli.output.SECONDS_BETWEEN_LINES", 3600.0)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Stdout of a command that succeeds without a word on stderr."""
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(printed(capsys, *arguments, "--json", "-"))


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a mistake is answered with."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("accelsim: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return err.removeprefix("accelsim: ").rstrip("\n")


# What works


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


def test_nothing_simulated_is_a_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gemm", "8", "8", "8", "--on", "spatten:tiny", "--json", "-"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["speedup"] is None
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


# The same bytes


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


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("gem 1 2 3", "No such command 'gem'"),
        ("gemm 1 2", "Missing argument 'K'"),
        ("gemm 1 2 3", "Missing option '--on'"),
        ("gemm 1 2 x --on sat", "'K': must be a whole number, not 'x'"),
        ("gemm 1 2 3 4 --on sat", "unexpected extra argument"),
        ("gemm 1 2 3 --on", "'--on' requires an argument"),
        ("gemm 1 2 3 --on sat --patern 2:4", "No such option: --patern"),
        ("gemm 1 2 3 --on satt", "did you mean 'sat'?"),
        (
            "gemm 1 2 3 --on sat:papre",
            "preset of sat must be one of paper, vcu1525, tiny, not 'papre'; did you mean 'paper'?",
        ),
        ("gemm 1 2 3 --on systolic:big", "systolic must be the size of the array, such as 32, not 'big'"),
        ("gemm 1 2 3 --on systolic:0", "rows must be"),
        ("gemm 1 2 3 --on systolic:", "preset of systolic must be the size of the array"),
        ("gemm 1 2 3 --on systolic:\u0663", "such as 32, not '\u0663'"),
        ("gemm 1 2 3 --on systolic:99999999999999999999", "such as 32, not '99999999999999999999'"),
        ("gemm 1 2 3 --on sat:", "preset of sat must be one of paper, vcu1525, tiny, not ''"),
        ("gemm -1 2 3 --on sat", "a size must be a whole number >= 1, not -1"),
        ("gemm 1 -20 3 --on sat", "a size must be a whole number >= 1, not -20"),
        ("gemm 1000000 1000000 1000000 --on systolic:1", "layer 'gemm' on systolic: work must be at most"),
        ("gemm 1000000 1000000 1000000 --on stc", "layer 'gemm' on stc: operands must fit the"),
        (
            "gemm 100000 100000 100000 --on stc --set most_bursts=0",
            "layer 'gemm' on stc: work must be at most",
        ),
        ("gemm 60000 60000 60000 --on sat --dataflow os", "sat: its operands must fit the 8192 MiB of DDR4"),
        ("gemm 3 1000000 1000000 --on sat --pattern 2:4", "weights, not 1000000 x 1000000"),
        ("gemm 1 2 3 --on sat --set rows=1e30", "rows must be an integer up to 1000000000000, not '1e30'"),
        ("gemm 1 2 3 --on sat --set overlapped=maybe", "overlapped must be true or false, not 'maybe'"),
        ("gemm 1 2 3 --on sat --set clock_hz=1e-300", "clock_hz must be within 10000 times"),
        ("gemm 1 2 3 --on sat --set clock_hz=1e300", "clock_hz must be within 10000 times"),
        ("gemm 512 512 512 --on sat --set dram.rows=1", "its operands must fit the"),
        ("gemm 1 2 3 --on sat --seed 99999999999999999999", "'--seed': must be <= 9223372036854775807"),
        ("gemm 1 2 3 --on sat --json /proc/file.json", "--json '/proc/file.json' cannot be written"),
        ("run model.py:f --on sat --batch 0", "'--batch': must be from 1 to 65536, not 0"),
        ("run model.py:f --on sat --batch 1000000000000", "'--batch': must be from 1 to 65536"),
        ("run model.py:f --on sat --tokens -3", "'--tokens': must be from 1 to 1073741824, not -3"),
        ("attention --on spatten --keys 1000000000 --values 1", "scores, not 1 x 1000000000"),
        ("attention --on spatten --keys 9 --values 1 --heads 1000000000", "rows, not 1000000000"),
        ("attention --on spatten --keys 9 --values 1 --layers 1000000000", "layers must be <= 4096"),
        ("gemm 0 2 3 --on sat", "m must be a whole number from 1 to 2147483647, not 0"),
        ("gemm 1 0 3 --on sat --pattern 2:4", "n must be"),
        ("gemm 1 2 0 --on sat --pattern 2:4", "k must be"),
        ("gemm 1 2 3 --on sat --pattern 4:2", "1 <= N <= M, not '4:2'"),
        ("gemm 1 2 3 --on sat --pattern dens", "pattern must be dense or N:M, such as 2:4, not 'dens'"),
        ("gemm 1 2 3 --on sat --dataflow wss", "did you mean 'ws'?"),
        ("gemm 1 2 3 --on sat --dtype fp61", "did you mean 'fp16'?"),
        (
            "gemm 1 2 3 --on spatten --dataflow ws",
            "--dataflow cannot be 'ws' on spatten: it has no parameter dataflow",
        ),
        ("gemm 1 2 3 --on sat --set row=3", "did you mean 'rows'?"),
        ("gemm 1 2 3 --on sat --set rows", "--set must be KEY=VALUE"),
        ("gemm 1 2 3 --on sat --set rows=0", "rows must be > 0, not 0"),
        ("gemm 1 2 3 --on sat --set rows=x", "rows must be an integer, not 'x'"),
        ("gemm 1 2 3 --on sat --set dram.channel=1", "did you mean 'dram.channels'?"),
        ("gemm 1 2 3 --on sat --set dram.tCCDL=3", "did you mean 'dram.tCCD_L'?"),
        ("gemm 1 2 3 --on sat --seed -1", "'--seed': must be >= 0, not -1"),
        ("gemm 1 2 3 --on sat --json /no/such/folder/file.json", "not '/no/such/folder/file.json'"),
        ("attention --on spatten --keys 8 --values 9", "values must be <= keys (8), not 9"),
        ("attention --on spatten --keys 8 --values 8 --dim 513", "dim must be 1..512 (multipliers), not 513"),
        (
            "attention --on spatten:tiny --keys 8 --values 8 --dim 33",
            "dim must be 1..32 (multipliers), not 33",
        ),
        ("attention --on spatten --keys 0 --values 0", "keys must be >= 1, not 0"),
        ("attention --on spatten --keys 8 --values 4 --bits 7+4", "MSB in {4, 6, 8, 10, 12}"),
        ("attention --on spatten --keys 8 --values 4 --bits 6+3", "LSB in {0, 4}"),
        ("attention --on spatten --keys 8 --values 4 --refetch 0.1", "refetch must be 0"),
        (
            "attention --on spatten --keys 8 --values 4 --bits 6+4 --refetch 2",
            "refetch must lie in 0..1, not 2",
        ),
        ("attention --on spatten --keys 8 --values 4 --bits 6+4 --refetch x", "must be a number, not 'x'"),
        ("run missing.npz --on sat", "missing.npz"),
        ("run minilm --on systolik", "did you mean 'systolic'?"),
        ("compare minilm --on sat,spaten", "did you mean 'spatten'?"),
        ("trace minilm -o /no/such/folder/x.npz", "-o must be a file in a folder that exists"),
    ],
)
def test_a_mistake_is_one_line(capsys: pytest.CaptureFixture[str], arguments: str, expected: str) -> None:
    assert expected in mistake(capsys, *arguments.split())


def test_a_workload_file_cut_in_half_is_one_line(capsys: pytest.CaptureFixture[str], saved: Path) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: len(content) // 2])
    assert str(saved) in mistake(capsys, "run", str(saved), "--on", "sat")


def test_a_pickle_named_npz_is_one_line_and_never_opened(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    (tmp_path / "trap.npz").write_bytes(pickle.dumps(Trap()))
    assert "trap.npz" in mistake(capsys, "run", str(tmp_path / "trap.npz"), "--on", "sat")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "option", [["--prune", "magnitude,2:4"], ["--tokens", "4"], ["--batch", "2"], ["--evaluate"]]
)
def test_options_of_a_model_do_not_apply_to_a_workload_file(
    capsys: pytest.CaptureFixture[str], saved: Path, option: list[str]
) -> None:
    assert option[0] in mistake(capsys, "run", str(saved), "--on", "sat", *option)


@pytest.mark.parametrize("words", ["gemm 8 8 8 --on systolic:8 --explain", "units", "--help"])
def test_a_reader_that_goes_away_is_no_traceback_and_no_failed_check(words: str) -> None:
    command = f"{sys.executable} -m accelsim {words} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode in (0, 128 + signal.SIGPIPE)  # 0: all was written before it went


@pytest.mark.torch
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("run minilmm --on sat", "did you mean 'minilm'?"),
        ("run minilm --prune magnitud,2:4 --on sat", "did you mean 'magnitude'?"),
        ("run minilm --prune magnitude,4:2 --on sat", "4:2"),
        (
            "run minilm --prune magnitude,2:4 --prune wanda,0.5 --on sat",
            "for weights, not both 'magnitude,2:4' and 'wanda,0.5'",
        ),
        ("run /etc/hostname --on sat", "must be .safetensors, .gguf or .npz, not '/etc/hostname'"),
        ("run minilm --on sat --text /no/such/text", "/no/such/text"),
        ("run minilm --on sat --input 3xx4", "3xx4"),
        ("run no_such.py:factory --on sat", "no_such.py"),
    ],
)
def test_a_mistake_with_a_model_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: str, expected: str
) -> None:
    assert expected in mistake(capsys, *arguments.split())


FACTORY = """
import sys

import torch

def prints():
    print("a word of the model's own")
    return torch.nn.Linear(8, 8)

def exits():
    sys.exit(3)

def net():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 16))
    return module, torch.ones(4, 64)

def pruned():
    module, inputs = net()
    for layer in (module[0], module[2]):
        groups = layer.weight.data.view(layer.out_features, -1, 4)
        smallest = groups.abs().argsort(dim=2, stable=True)[:, :, :2]
        groups.scatter_(2, smallest, 0.0)
    return module, inputs
"""


@pytest.mark.torch
def test_what_a_models_own_code_prints_is_not_on_stdout(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(FACTORY)
    assert main(["run", f"{tmp_path}/own.py:prints", "--on", "sat:tiny", "--json", "-"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["cycles"] > 0
    assert "a word of the model's own" in err


@pytest.mark.torch
def test_a_model_that_exits_is_a_mistake(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(FACTORY)
    model = f"{tmp_path}/own.py:exits"
    assert "must return, not exit with status 3" in mistake(capsys, "run", model, "--on", "sat:tiny")


@pytest.mark.torch
def test_a_model_runs_the_same_in_one_step_in_two_and_already_pruned(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(FACTORY)
    model, out = f"{tmp_path}/own.py:net", str(tmp_path / "net.npz")
    once = as_json(capsys, "run", model, "--prune", "magnitude,2:4", "--on", "sat:tiny")
    assert once["speedup"] > 1
    assert len(once["layers"]) == 2
    assert "2 layers" in printed(capsys, "trace", model, "--prune", "magnitude,2:4", "-o", out)
    assert as_json(capsys, "run", out, "--on", "sat:tiny") == once
    before = as_json(capsys, "run", f"{tmp_path}/own.py:pruned", "--on", "sat:tiny")
    assert before.pop("model") != once.pop("model")
    assert before["baseline"].pop("model") != once["baseline"].pop("model")
    assert before == once
