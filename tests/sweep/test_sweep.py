"""A sweep from file to table; nothing finished is lost or done twice, whoever dies."""

import csv
import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyarrow.parquet
import pytest
from distributed import LocalCluster

from accelsim import Systolic, run
from accelsim.cli import main
from accelsim.sweep import front, read_space, sweep, work
from accelsim.sweep.points import Point
from accelsim.sweep.store import StoreError, opened
from accelsim.synthetic import gemm

COMMAND = [sys.executable, "-m", "accelsim", "sweep"]

SMALL = """
models: [gemm:16x16x16]
recipes: [dense, 2:4]
machines:
- on: systolic
  set: {rows: [2, 4], cols: [2, 4]}
"""

MANY = """
models: [gemm:8x8x8]
machines:
- on: systolic
  set:
    rows: {low: 1, high: 20, steps: 20, integer: true}
    cols: {low: 1, high: 10, steps: 10, integer: true}
"""


def results(file: Path) -> list[tuple[str, str]]:
    """Words and status of what the database of a sweep file holds."""
    with sqlite3.connect(f"file:{file.with_suffix('.sqlite')}?mode=ro", uri=True) as connection:
        return connection.execute("select words, status from results").fetchall()


def test_the_time_left_is_told_by_the_pace_after_the_start(written, tmp_path: Path) -> None:
    """The first point waits for a worker to start and to compile: by its pace the others took minutes."""
    told: list[tuple[int, int, float]] = []
    sweep(
        read_space(written(SMALL)),
        tmp_path / "space.sqlite",
        workers=1,
        progress=lambda *state: told.append(state),
    )
    assert [(done, known) for done, known, _ in told] == [(done, 8) for done in range(1, 9)]
    assert math.isnan(told[0][2])
    assert all(left >= 0 for _, _, left in told[1:])
    assert told[-1][2] == 0


def test_a_scheduler_of_its_own_listens_on_loopback_alone_on_ports_that_are_free(
    written, tmp_path: Path, monkeypatch
) -> None:
    known = set(listening())
    found = []

    class Noted(LocalCluster):
        def __init__(self, **options) -> None:
            super().__init__(**options)
            found.extend(set(listening()) - known)

    monkeypatch.setattr("accelsim.sweep.running.LocalCluster", Noted)
    sweep(read_space(written(SMALL)), tmp_path / "space.sqlite", workers=1)
    assert {host for host, _ in found} == {"127.0.0.1"}
    assert 8787 not in {port for _, port in found}


def listening() -> list[tuple[str, int]]:
    """Hosts and ports at which this process is waiting."""
    opened = psutil.Process().net_connections("tcp")
    return [tuple(each.laddr) for each in opened if each.status == psutil.CONN_LISTEN]


def test_every_point_is_what_run_says(written, tmp_path: Path) -> None:
    table = tmp_path / "table.json"
    assert main(["sweep", str(written(SMALL)), "--workers", "1", "--export", str(table)]) == 0
    rows = json.loads(table.read_text())
    assert len(rows) == 8
    for row in rows:
        pattern = None if row["recipe"] == "dense" else (2, 4)
        report = run(gemm(16, 16, 16, pattern=pattern), Systolic(rows=row["rows"], cols=row["cols"]))
        assert row["status"] == "done"
        assert row["cycles"] == report.cycles
        assert row["dram_bytes"] == report.dram_bytes
        assert row["total_pj"] == report.total_pj
        assert row["speedup"] == (report.speedup if pattern else None)


def test_the_second_time_nothing_is_simulated(written, tmp_path: Path, capsys, monkeypatch) -> None:
    file = written(SMALL)
    assert main(["sweep", str(file), "--workers", "1"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "8 points; Pareto front" in printed[0]
    assert printed[1].split() == ["model", "recipe", "machine", "rows", "cols", "seconds", "dram_bytes"]
    assert main(["sweep", str(file)]) == 2
    assert "holds 8 finished points: go on with --resume" in capsys.readouterr().err
    monkeypatch.setattr("accelsim.sweep.running.LocalCluster", None)
    exports = [tmp_path / name for name in ("t.csv", "t.parquet", "t.json")]
    flags = [word for path in exports for word in ("--export", str(path))]
    assert main(["sweep", str(file), "--resume", *flags]) == 0
    with exports[0].open() as lines:
        read = list(csv.DictReader(lines))
    parquet = pyarrow.parquet.read_table(exports[1]).to_pylist()
    assert parquet == json.loads(exports[2].read_text())
    assert [int(row["cycles"]) for row in read] == [row["cycles"] for row in parquet]
    assert any(row["pareto"] for row in parquet)


def test_equal_points_are_computed_once_however_they_are_typed(written) -> None:
    machines = "[systolic, 'systolic:32', {on: systolic, set: {rows: 32}}]"
    file = written(f"models: [gemm:8x8x8]\nmachines: {machines}\n")
    assert main(["sweep", str(file), "--workers", "1", "--json", "-"]) == 0
    assert len(results(file)) == 1


def test_a_point_that_a_machine_refuses_is_told_and_the_others_go_on(written, capsys) -> None:
    file = written("models: [gemm:8x8x8]\nmachines: [{on: systolic, set: {rows: [0, 4]}}]\n")
    assert main(["sweep", str(file), "--workers", "1"]) == 0
    shown = capsys.readouterr().out
    assert "1 refused, such as gemm:8x8x8 dense systolic: rows must be" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.yaml"], "none.yaml: No such file"),
        (["{file}", "--export", "{folder}/t.xls"], "did you mean '.csv'?"),
        (["{file}", "--export", "{folder}/none/t.csv"], "--export must be a file in a folder that exists"),
        (["{file}", "--scheduler", "tcp://127.0.0.1:1", "--workers", "2"], "--scheduler 'tcp://127.0.0.1:1'"),
        (["{file}", "--scheduler", "nonsense"], "nonsense"),
        (["{batched}"], "batch cannot be 4 with 'gemm:16x16x16'"),
    ],
)
def test_a_mistake_is_one_line(written, tmp_path: Path, capsys, arguments: list[str], message: str) -> None:
    batched = tmp_path / "batched.yaml"
    batched.write_text(SMALL + "batch: 4\n")
    names = {"file": written(SMALL), "folder": tmp_path, "batched": batched}
    assert main(["sweep", *(word.format(**names) for word in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_file_that_is_no_database_is_left_as_it_is(written, capsys) -> None:
    file = written(SMALL)
    database = file.with_suffix(".sqlite")
    for content in (b"a note of mine, not a database at all", os.urandom(4096)):
        database.write_bytes(content)
        assert main(["sweep", str(file), "--resume"]) == 2
        assert database.read_bytes() == content
        assert "space.sqlite" in capsys.readouterr().err


def test_a_damaged_statement_that_the_database_repeats_is_one_line(tmp_path: Path) -> None:
    database = tmp_path / "space.sqlite"
    with opened(database):
        pass
    content = database.read_bytes()
    assert content.count(b"content blob") == 1
    database.write_bytes(content.replace(b"content blob", b'"ontent blob'))
    with pytest.raises(StoreError, match="malformed database schema") as found, opened(database):
        pass
    assert "\n" not in str(found.value)


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_where_it_was(written) -> None:
    file = written(MANY)
    seen: set[str] = set()
    for wanted in (1, 60, 120):
        with subprocess.Popen(
            [*COMMAND, str(file), "--resume", "--workers", "2"], stdout=subprocess.DEVNULL
        ) as process:
            while process.poll() is None and (
                not file.with_suffix(".sqlite").exists() or held(file) < wanted
            ):
                time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
        stored = {words for words, _ in results(file)}
        assert seen <= stored
        seen = stored
    before = times(file)
    done = subprocess.run([*COMMAND, str(file), "--resume", "--json", "-"], check=True, capture_output=True)
    rows = json.loads(done.stdout)
    assert len({(row["rows"], row["cols"]) for row in rows}) == len(rows) == 200
    assert {row["status"] for row in rows} == {"done"}
    # What was stored before was not computed again: its seconds are still those of the first time.
    assert before.items() <= times(file).items()
    assert len(times(file)) == 200


@pytest.mark.slow
def test_a_worker_may_die(written) -> None:
    file = written(MANY)
    with scheduler() as (address, workers):
        with subprocess.Popen(
            [*COMMAND, str(file), "--scheduler", address, "--json", "-"], stdout=subprocess.PIPE
        ) as process:
            while held(file) < 20:
                assert process.poll() is None
                time.sleep(0.05)
            workers[0].kill()
            shown, _ = process.communicate(timeout=240)
        assert process.returncode == 0
    assert {row["status"] for row in json.loads(shown)} == {"done"}
    assert len(results(file)) == 200


def test_a_schedule_that_changes_is_another_point(tmp_path: Path) -> None:
    file = tmp_path / "words.json"
    content = {"kind": "sat schedule", "version": 1, "rows": 32, "cols": 32, "layers": {"gemm": "os"}}
    point = Point(model="a", recipe="b", machine="sat", settings=(("schedule", str(file)),))
    keys = []
    for flow in ("os", "ws"):
        file.write_text(json.dumps(content | {"layers": {"gemm": flow}}))
        keys.append(work.point_key("hash", point))
    assert keys[0] != keys[1]


def test_a_model_that_cannot_be_had_is_told_and_the_others_go_on(written, tmp_path: Path, capsys) -> None:
    file = written(f"models: [gemm:8x8x8, {tmp_path / 'none.npz'}]\nmachines: [systolic]\n")
    assert main(["sweep", str(file), "--workers", "1"]) == 0
    assert "1 refused" in capsys.readouterr().out


def test_a_front_is_what_nothing_beats() -> None:
    rows = [{"a": a, "b": b} for a, b in [(1, 5), (2, 4), (2, 5), (3, 3), (1, 5), (None, 1)]]
    assert front(rows, {"a": "min", "b": "min"}) == [True, True, False, True, True, False]
    assert front(rows, {"a": "max", "b": "max"}) == [False, False, True, True, False, False]


def test_a_key_is_of_the_parameters_and_the_version(monkeypatch) -> None:
    def key(**settings: str) -> str:
        return work.point_key(
            "hash", Point(model="a", recipe="b", machine="sat", settings=tuple(settings.items()))
        )

    assert key() == key(rows="32") != key(rows="16")
    before = key()
    monkeypatch.setattr("accelsim.__version__", "9")
    assert key() != before


def held(file: Path) -> int:
    """How many results are on the disk now."""
    try:
        return len(results(file))
    except sqlite3.Error:
        return 0


def times(file: Path) -> dict[str, float]:
    with sqlite3.connect(file.with_suffix(".sqlite")) as connection:
        return dict(connection.execute("select key, seconds from results"))


@contextmanager
def scheduler() -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A Dask scheduler and two workers, each a process of its own on the loopback."""
    # They end by themselves, should nobody end them.
    processes = [started("dask_scheduler", "--port", "0", "--idle-timeout", "300s", stderr=subprocess.PIPE)]
    try:
        words = (word for line in processes[0].stderr for word in line.decode().split())
        address = next(word for word in words if word.startswith("tcp://127"))
        for _ in range(2):
            rest = ("--nthreads", "1", "--no-nanny", "--death-timeout", "60")
            processes.append(started("dask_worker", address, *rest, stderr=subprocess.DEVNULL))
        yield address, processes[1:]
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()
        processes[0].stderr.close()


def started(module: str, *words: str, stderr: int) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        f"distributed.cli.{module}",
        *words,
        "--host",
        "127.0.0.1",
        "--no-dashboard",
    ]
    return subprocess.Popen(command, stderr=stderr)
