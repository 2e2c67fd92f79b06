"""One line with exit status 2 for every mistake."""

import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import mistake


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
        ("compare minilm --on sat,stc,sat", "--on must name each machine once, not 'sat' and 'sat'"),
        ("compare minilm --on stc:a100,sat,stc", "each machine once, not 'stc:a100' and 'stc'"),
        ("compare minilm --on systolic:32,systolic:032", "not 'systolic:32' and 'systolic:032'"),
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
