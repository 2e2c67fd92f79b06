"""Where results go: tables or JSON on stdout, progress on stderr."""

from __future__ import annotations

import os
import shlex
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from accelsim import timeline
from accelsim.accelerators.base import Accelerator
from accelsim.files import as_json, write_atomically
from accelsim.report import Report
from accelsim.report.page import page, require_page
from accelsim.report.table import print_comparison, print_report
from accelsim.run import Progress
from accelsim.timeline import Window
from accelsim.workload import Workload

SECONDS_BETWEEN_LINES = 10.0
WRITES = ("--report", "--json", "--timeline", "--timeline-window", "--save-schedule")
ARGUMENTS: ContextVar[Sequence[str]] = ContextVar("ARGUMENTS", default=())
"""What the command line was given."""


def check_destination(path: str | None, *, flag: str = "--json") -> None:
    """Raise ValueError now, not after the work, if the file cannot be written."""
    if path is None or (path == "-" and flag == "--json"):
        return
    if path == "-":
        raise ValueError(f"{flag} must be a file, not '-': only --json may go to stdout")
    file = Path(path)
    if not path or file.is_dir() or not file.parent.is_dir():
        raise ValueError(f"{flag} must be a file in a folder that exists, not {path!r}")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise ValueError(f"{flag} must be a file that can be written, not {path!r}")


def check_page(path: str | None) -> None:
    """Raise ValueError now, not after the work, if the page cannot be made or written."""
    check_destination(path, flag="--report")
    if path is not None:
        require_page("--report")


def write_page(path: str | None, reports: Sequence[Report], *, several: bool = False) -> None:
    """The HTML page, if one is wanted, with the command that asked for it."""
    if path is not None:
        _write("--report", path, page(reports, command=_command(ARGUMENTS.get()), several=several))


def check_timeline(path: str | None, window: str | None) -> Window | None:
    """The window, if one is wanted. ValueError now, not after the work, for what cannot be written."""
    check_destination(path, flag="--timeline")
    if window is None:
        return None
    if path is None:
        raise ValueError(f"--timeline-window belongs to --timeline, and {window!r} is given without it")
    return Window.parse(window)


def write_timeline(
    path: str | None, workload: Workload, accelerator: Accelerator, report: Report, window: Window | None
) -> None:
    """The timeline of a run, if one is wanted."""
    if path is None:
        return
    with destination("--timeline", path), step(f"{workload.model}: writing the timeline"):
        timeline.save(path, workload, accelerator, report, window=window)


def _command(arguments: Sequence[str]) -> str:
    """The command without the files that it writes, which have no part in the figures."""
    kept, words = ["accelsim"], iter(arguments)
    for word in words:
        if word in WRITES:
            next(words, None)
        elif word.partition("=")[0] not in WRITES:
            kept.append(word)
    return shlex.join(kept)


def _write(flag: str, path: str, text: str) -> None:
    with destination(flag, path):
        write_atomically(path, text)


@contextmanager
def destination(flag: str, path: str) -> Iterator[None]:
    """Raise ValueError, which names the flag and the file, if what is done here cannot write."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{flag} {path!r} cannot be written: {error.strerror or error}") from None


def show(report: Report, json: str | None, *, explain: bool = False) -> None:
    """Print a report, or its JSON alone."""
    if not write_json(report.to_dict(), json):
        print_report(report, explain=explain)


def show_all(reports: list[Report], json: str | None) -> None:
    """Print several reports side by side, or the list of their JSON alone."""
    if not write_json([report.to_dict() for report in reports], json):
        print_comparison(reports)


@contextmanager
def step(title: str, *, lines: bool = True) -> Iterator[None]:
    """Say on stderr what is being done: at once on a terminal, else (with `lines`) if it takes long."""
    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status(title):
            yield
        return
    if not lines:
        yield
        return
    line = threading.Timer(SECONDS_BETWEEN_LINES, lambda: print(title, file=sys.stderr, flush=True))
    line.daemon = True
    line.start()
    try:
        yield
    finally:
        line.cancel()


class Stopwatch:
    """Says on stderr where the time went, if it was long. Never in a result: equal inputs, equal bytes."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._laps: dict[str, float] = {}

    def lap(self, work: str) -> None:
        """What was done since the last lap."""
        now = time.monotonic()
        self._laps[work] = now - self._last
        self._last = now

    def say(self, title: str) -> None:
        """One line, on a terminal or if the whole took longer than a user waits without one."""
        if sys.stderr.isatty() or sum(self._laps.values()) >= SECONDS_BETWEEN_LINES:
            laps = ", ".join(f"{work} in {seconds:.1f} s" for work, seconds in self._laps.items())
            print(f"{title}: {laps}", file=sys.stderr, flush=True)


@contextmanager
def progress(title: str, *, what: str = "layers") -> Iterator[Progress]:
    """A callback for `run`, which counts `what`: a bar on a terminal, else a line now and then."""
    if not sys.stderr.isatty():
        yield _lines(title, what)
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def advance(layer: str, done: int, total: int) -> None:
            # The bar alone: with a layer's name beside it, a narrow terminal has no room for the bar.
            bar.update(task, completed=done, total=total)

        yield advance


def _lines(title: str, what: str) -> Progress:
    lines = Lines(title)

    def advance(layer: str, done: int, total: int) -> None:
        lines.say(f"{done} of {total} {what}, now {layer}")

    return advance


class Lines:
    """Lines on stderr of work that takes long, none before its time."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._last = time.monotonic()

    def say(self, state: str) -> None:
        """How far the work is, if nothing was said of it for a while."""
        if time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            print(f"{self._title}: {state}", file=sys.stderr, flush=True)


def write_json(values: Any, path: str | None) -> bool:
    """Write JSON if it was asked for; True if that was to stdout."""
    if path == "-":
        sys.stdout.write(as_json(values))
        return True
    if path is not None:
        _write("--json", path, as_json(values))
    return False
