"""When everything happened, as a file for Perfetto or chrome://tracing. One microsecond there is one cycle.

At job grain every layer has its first jobs, as many as the file's size allows. With a window of cycles, all
jobs and DRAM commands inside it are there. What is left out is said in the file (`docs/reports.md`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from accelsim import __version__
from accelsim.accelerators.base import Accelerator, memory_of
from accelsim.files import whole_file
from accelsim.report import Report
from accelsim.timeline.events import LAYERS, Budget, Tracks, layer_events
from accelsim.timeline.layers import passes
from accelsim.workload import Workload

__all__ = ["MOST_EVENTS", "Window", "events", "save"]

MOST_EVENTS = 100_000
"""In a file, about 10 MB. The names of tracks come on top."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """Cycles `first` to before `last` of the whole run."""

    first: int
    last: int

    @staticmethod
    def parse(text: str) -> Window:
        """`A:B`; ValueError for anything but two whole numbers, the second larger."""
        found = re.fullmatch(r"(\d{1,18}):(\d{1,18})", text, re.ASCII)
        if found is None or int(found[1]) >= int(found[2]):
            raise ValueError(f"a window of cycles must be FIRST:LAST, such as 1000:3000, not {text!r}")
        return Window(first=int(found[1]), last=int(found[2]))


def save(
    path: str | os.PathLike[str],
    workload: Workload,
    accelerator: Accelerator,
    report: Report,
    *,
    window: Window | None = None,
    most_events: int = MOST_EVENTS,
) -> None:
    """Write the timeline of `report`, that of `workload` on `accelerator`: whole, or not at all.

    Layers are simulated once more for it. Equal inputs give equal bytes. ValueError for a window that lies
    behind the run.
    """
    found = events(workload, accelerator, report, window=window, most_events=most_events)
    first = next(found)
    with whole_file(path) as file:
        file.write('{"displayTimeUnit":"ns","traceEvents":[\n')
        file.write(_line(first))
        for event in found:
            file.write(",\n" + _line(event))
        file.write("\n],\n" + f'"otherData":{_line(_about(report, window))}' + "}\n")


def events(
    workload: Workload,
    accelerator: Accelerator,
    report: Report,
    *,
    window: Window | None = None,
    most_events: int = MOST_EVENTS,
) -> Iterator[dict[str, Any]]:
    """The events of such a file, in order: first the layers, then what happened in each."""
    if window is not None and window.first >= report.cycles:
        raise ValueError(
            f"a window of cycles must begin before the run ends in cycle {report.cycles:,}, not in cycle "
            f"{window.first:,}"
        )
    tracks = Tracks()
    yield from _layers(report, tracks)
    runs = list(_in_order(report))
    if window is not None:
        runs = [run for run in runs if run[1] < window.last and run[1] + run[2] > window.first]
    left, clock_hz = most_events, accelerator.clock_hz
    memory = memory_of(accelerator)
    found = passes(workload, accelerator, [index for index, _, _ in runs], memory, whole=window is not None)
    for number, ((_, begin, cycles), one) in enumerate(zip(runs, found, strict=True)):
        share = Budget(left // (len(runs) - number))
        shown = (0, cycles)
        if window is not None:
            shown = max(0, window.first - begin), min(cycles, window.last - begin)
        fine = window is not None
        for event in layer_events(one, begin, shown, share, clock_hz, memory, tracks, fine=fine):
            yield from tracks.introduced(event)
            yield event
        left -= share.spent


def _in_order(report: Report) -> Iterator[tuple[int, int, int]]:
    """Index, first cycle and cycles of every simulated layer."""
    cycle = report.start_cycles
    for index, row in enumerate(report.layers):
        if row.cycles is not None:
            yield index, cycle, row.cycles
            cycle += row.cycles


def _layers(report: Report, tracks: Tracks) -> Iterator[dict[str, Any]]:
    """A slice for each layer."""
    yield from tracks.introduced({"pid": LAYERS, "tid": 1})
    for index, begin, cycles in _in_order(report):
        row = report.layers[index]
        yield {
            "ph": "X",
            "pid": LAYERS,
            "tid": 1,
            "ts": begin,
            "dur": cycles,
            "name": row.name,
            "cat": row.op,
            "args": {
                "cycles": cycles,
                "compute cycles": row.compute_cycles,
                "read bytes": row.read_bytes,
                "written bytes": row.write_bytes,
                "MACs done": row.macs_done,
            },
        }


def _about(report: Report, window: Window | None) -> dict[str, Any]:
    return {
        "accelsim": __version__,
        "model": report.model,
        "accelerator": report.accelerator,
        "preset": report.preset,
        "clock_hz": report.clock_hz,
        "cycles": report.cycles,
        "unit": "a microsecond of the viewer is a cycle; time of kernel launches is not in it",
        "window": None if window is None else [window.first, window.last],
    }


def _line(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
