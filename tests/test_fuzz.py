"""A short run of the fuzzer over every reader; and it does find what a reader does wrong."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

FUZZER = Path(__file__).resolve().parents[1] / "benchmarks" / "fuzz.py"
CASES = 300


def fuzz(tmp_path: Path, *readers: str) -> None:
    results = tmp_path / "fuzz.json"
    command = [
        sys.executable,
        str(FUZZER),
        *readers,
        "--cases",
        str(CASES),
        "--seed",
        "5",
        "-o",
        str(results),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(results.read_text())["rows"]
    assert [row["reader"] for row in rows] == list(readers)
    # Else the changes are all alike to the reader, and nothing is tried.
    assert all(row["read"] > 0 and row["refused"] > 0 for row in rows), rows


def test_any_file_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    fuzz(tmp_path, "workload", "dram", "sweep", "database", "schedule")


@pytest.mark.torch
def test_any_file_of_weights_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    fuzz(tmp_path, "gguf", "onnx", "safetensors", "checkpoint")


def test_the_fuzzer_finds_what_a_reader_does_wrong(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(FUZZER.parent))
    spec = importlib.util.spec_from_file_location("fuzz", FUZZER)
    fuzzer = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fuzz", fuzzer)
    spec.loader.exec_module(fuzzer)
    monkeypatch.setattr(fuzzer, "TIME_S", 0.2)
    monkeypatch.setattr(fuzzer, "MEMORY_BYTES", 2**28)

    def crashing(_: Path) -> None:
        raise KeyError("weight")

    def talkative(_: Path) -> None:
        raise ValueError("a line\nand another")

    def greedy(_: Path) -> None:
        bytearray(2**30)

    def greedy_and_polite(_: Path) -> None:
        try:
            bytearray(2**30)
        except MemoryError:
            raise ValueError("a file that is not right") from None

    def stuck(_: Path) -> None:
        while True:
            pass

    def stuck_and_polite(file: Path) -> None:
        try:
            stuck(file)
        except Exception as error:
            raise ValueError("a file that is not right") from error

    def deaf(file: Path) -> None:
        try:
            stuck(file)
        except BaseException:
            raise ValueError("a file that is not right") from None

    for reader, why in [
        (crashing, "KeyError"),
        (talkative, "not one line"),
        (greedy, "MemoryError"),
        (greedy_and_polite, "MemoryError"),
        (stuck, "took more than 0.2 s"),
        (stuck_and_polite, "took more than 0.2 s"),
        (deaf, "took more than 0.2 s"),
    ]:
        with fuzzer.bounded_memory():
            assert why in fuzzer.failure(reader, tmp_path)
    assert fuzzer.failure(lambda _: None, tmp_path) is None

    def made(file: Path) -> None:
        file.write_bytes(b"whole")

    def picky(file: Path) -> None:
        if file.read_bytes() != b"whole":
            raise KeyError

    kind = fuzzer.Kind(read=picky, make=made)
    assert fuzzer.fuzzed("picky", kind, 3, 0, tmp_path)["failures"]
    assert list(tmp_path.glob("fuzz-picky-0-*"))
