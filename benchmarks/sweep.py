"""A sweep of 200 points that is killed, that loses a worker, and with two workers beside one.

    python benchmarks/sweep.py [-o FILE]

Each part sweeps the same space in a folder of its own. `killed`: SIGKILL after 20, 80 and 140 results, then
--resume to the end. `worker_lost`: a Dask scheduler and two workers as processes on the loopback, one killed
after 60 results. `two_workers`: seconds of the points alone, from the first result to the last, with one
worker and with two in turns. Exit status 1 if a point is lost, or computed again after it was stored.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiment import options, provenance, save

from accelsim.files import as_json

POINTS = 200
KILLS = (20, 80, 140)
LOST_AFTER = 60
REPEATS = 3

SPACE = """
models: ["gemm:512x512x1024"]
recipes: [dense, "2:8"]
machines:
  - on: sat
    set:
      rows: {low: 8, high: 32, steps: 10, integer: true}
      cols: {low: 8, high: 32, steps: 10, integer: true}
"""


def main() -> None:
    parser = options(__file__, __doc__)
    given = parser.parse_args()
    found = {"killed": apart(killed), "worker_lost": apart(worker_lost), "two_workers": two_workers()}
    print(as_json(found))
    made = provenance(given.date, "dask", "distributed", "numba") | {"command": "python benchmarks/sweep.py"}
    save(given.output, made | found)
    whole = (found["killed"], found["worker_lost"])
    sys.exit(any(part["distinct"] != POINTS or part["again"] for part in whole))


def apart(part: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """A part on a sweep file in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "space.yaml"
        file.write_text(SPACE)
        return part(file)


def killed(file: Path) -> dict[str, Any]:
    stored: dict[str, float] = {}
    again, kills = 0, []
    for wanted in KILLS:
        with subprocess.Popen([*command(file), "--resume"], stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and len(results(file)) < wanted:
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
        before, stored = stored, results(file)
        again += repeated(before, stored)
        kills.append(len(stored))
    subprocess.run([*command(file), "--resume"], check=True, stdout=subprocess.DEVNULL)
    again += repeated(stored, results(file))
    return {"stored_at_kills": kills, "distinct": len(results(file)), "again": again}


def worker_lost(file: Path) -> dict[str, Any]:
    scheduler = started("dask_scheduler", "--port", "0", "--idle-timeout", "600s", stderr=subprocess.PIPE)
    workers = []
    try:
        assert scheduler.stderr
        words = (word for line in scheduler.stderr for word in line.decode().split())
        address = next(word for word in words if word.startswith("tcp://127"))
        for _ in range(2):
            rest = ("--nthreads", "1", "--no-nanny", "--death-timeout", "60")
            workers.append(started("dask_worker", address, *rest, stderr=subprocess.DEVNULL))
        with subprocess.Popen([*command(file), "--scheduler", address], stdout=subprocess.DEVNULL) as sweep:
            while sweep.poll() is None and len(results(file)) < LOST_AFTER:
                time.sleep(0.02)
            workers[0].kill()
            before = results(file)
            status = sweep.wait(timeout=1800)
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()
    after = results(file)
    return {"status": status, "distinct": len(after), "again": repeated(before, after)}


def two_workers() -> dict[str, Any]:
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(REPEATS):
        for workers, measured in seconds.items():
            measured.append(apart(lambda file, count=workers: timed(file, count))["seconds"])
    ratios = [one / two for one, two in zip(seconds[1], seconds[2], strict=True)]
    return {
        "cores": os.cpu_count(),
        "one_s": seconds[1],
        "two_s": seconds[2],
        "ratio": ratios,
        "ratio_median": statistics.median(ratios),
    }


def timed(file: Path, workers: int) -> dict[str, Any]:
    """Seconds from the first result to the last: workers have started, and compiled code is loaded."""
    words = [*command(file), "--workers", str(workers)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and len(results(file)) < 2 * workers:
            time.sleep(0.01)
        first, started_at = len(results(file)), time.monotonic()
        while process.poll() is None and len(results(file)) < POINTS:
            time.sleep(0.01)
        spent = time.monotonic() - started_at
        process.wait()
    return {"seconds": spent * POINTS / (POINTS - first)}


def results(file: Path) -> dict[str, float]:
    """Seconds by key of what is on the disk now: a key that is computed again gets other seconds."""
    try:
        with sqlite3.connect(f"file:{file.with_suffix('.sqlite')}?mode=ro", uri=True) as connection:
            return dict(connection.execute("select key, seconds from results where status = 'done'"))
    except sqlite3.Error:
        return {}


def repeated(before: dict[str, float], after: dict[str, float]) -> int:
    """How many stored results are gone or other ones."""
    return sum(after.get(key) != seconds for key, seconds in before.items())


def command(file: Path) -> list[str]:
    return [sys.executable, "-m", "accelsim", "sweep", str(file)]


def started(module: str, *words: str, stderr: int) -> subprocess.Popen[bytes]:
    rest = ("--host", "127.0.0.1", "--no-dashboard")
    return subprocess.Popen([sys.executable, "-m", f"distributed.cli.{module}", *words, *rest], stderr=stderr)


if __name__ == "__main__":
    main()
