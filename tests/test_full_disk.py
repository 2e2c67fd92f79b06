"""A full disk, and a folder that takes no file: one line, status 2, nothing half-written, nothing lost."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOM_BYTES = 20_000
"""As if the disk held no more; a write beyond it fails, and what is there stays."""

GEMM = ["gemm", "64", "64", "64", "--on", "systolic:8", "--pattern", "2:4"]

SPACE = """
models: [gemm:8x8x8]
machines: [{on: systolic, set: {rows: {low: 1, high: 30, steps: 30, integer: true}}}]
"""


def accelsim(*words: str, room: int | None = None) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        if room is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    # Compiled kernels are files, too.
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-m", "accelsim", *words]
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, env=environment)


def is_one_line(done: subprocess.CompletedProcess[str]) -> bool:
    return done.returncode == 2 and done.stderr.count("\n") == 1 and done.stderr.startswith("accelsim: ")


@pytest.mark.parametrize("before", ["", "an older report"])
def test_a_report_is_there_whole_or_not_at_all(tmp_path: Path, before: str) -> None:
    report = tmp_path / "report.json"
    if before:
        report.write_text(before)
    done = accelsim(*GEMM, "--json", str(report), room=100)
    assert is_one_line(done), done.stderr
    assert [path.read_text() for path in tmp_path.iterdir()] == ([before] if before else [])


def test_a_sweep_keeps_what_it_had_and_goes_on_later(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(SPACE)
    done = accelsim("sweep", str(file), "--workers", "1", room=ROOM_BYTES)
    assert is_one_line(done), done.stderr
    assert "space.sqlite" in done.stderr
    done = accelsim("sweep", str(file), "--resume", "--workers", "1", "--json", "-")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert {row["status"] for row in rows} == {"done"}
    assert len(rows) == 30


@pytest.mark.parametrize("flag", ["--json", "--report", "--timeline"])
def test_a_folder_that_takes_no_file_is_refused_before_the_work(flag: str) -> None:
    done = accelsim(*GEMM, flag, "/proc/report")
    assert is_one_line(done), done.stderr
    assert "/proc/report" in done.stderr


@pytest.mark.parametrize("json", [[], ["--json", "-"]])
def test_a_full_disk_behind_stdout_is_told_as_such(json: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "accelsim", "devices" if not json else "units", *json]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "accelsim: stdout cannot be written: No space left on device\n"


def test_commands_of_the_memory_that_find_no_room_name_their_flag(tmp_path: Path) -> None:
    trace = tmp_path / "loads.trace"
    trace.write_text("LD 0x40\n")
    words = ["--device", "DDR4-2400", "--trace", str(trace), "--commands", "/dev/full"]
    done = accelsim("dram", *words)
    assert is_one_line(done), done.stderr
    assert "--commands '/dev/full' cannot be written: No space left on device" in done.stderr
