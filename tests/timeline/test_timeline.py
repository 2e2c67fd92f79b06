"""Timelines: they keep the viewers' rules, agree with the report, are bounded and the same every time."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from timeline_rules import complaints

import accelsim
from accelsim import Attention, Matmul, Report, Workload, timeline
from accelsim.accelerators import find
from accelsim.cli import main
from accelsim.golden.formats import Bitmap
from accelsim.timeline import Window
from accelsim.timeline.events import BUFFERS, DRAM, FIRST_LANE, LAYERS

GEMM = ["gemm", "64", "64", "256", "--on", "sat:tiny", "--pattern", "2:8"]
MACHINES = ["systolic:8", "sat:tiny", "stc:tiny", "spatten:tiny", "mnnfast", "stc:sparseloop"]


def workload(on: str) -> Workload:
    """A pruned product, attention, the product again; sat has the products, which it simulates whole."""
    kept = np.zeros((32, 64), np.bool_)
    kept[:, ::4] = kept[:, 1::4] = True
    product = Matmul(name="up", m=40, n=32, k=64, mask=Bitmap.pack(kept))
    scores = np.full((1, 2, 24, 24), 170, np.uint16)
    attention = Attention(
        name="attention", heads=2, kv_heads=2, queries=24, keys=24, dim=32, value_dim=32, scores=scores
    )
    layers = (product, attention, product.renamed("down"))
    return Workload(model="m", layers=layers[::2] if on.startswith("sat") else layers)


def made(on: str) -> tuple[Workload, Any, Report]:
    _, preset, machine = find(on)
    return workload(on), machine, accelsim.run(workload(on), machine, preset=preset)


def text_of(path: Path, on: str, **options: Any) -> str:
    timeline.save(path, *made(on), **options)
    return path.read_text()


pytestmark = pytest.mark.filterwarnings("ignore::accelsim.run.SkippedLayersWarning")


@pytest.mark.parametrize("on", MACHINES)
@pytest.mark.parametrize("window", [None, Window(first=40, last=900)])
def test_a_timeline_keeps_the_rules(tmp_path: Path, on: str, window: Window | None) -> None:
    text = text_of(tmp_path / "a.json", on, window=window)
    assert complaints(text) == []
    events = json.loads(text)["traceEvents"]
    assert {FIRST_LANE, LAYERS} <= {event["pid"] for event in events}


@pytest.mark.parametrize("on", ["systolic:8", "sat:tiny", "spatten:tiny"])
def test_slices_add_up_to_the_report(tmp_path: Path, on: str) -> None:
    load, machine, report = made(on)
    events = list(timeline.events(load, machine, report))
    layers = [event for event in events if event["pid"] == LAYERS and event["ph"] == "X"]
    assert [event["dur"] for event in layers] == [row.cycles for row in report.layers if row.simulated]
    assert sum(event["dur"] for event in layers) == report.cycles
    for name in report.stalls:
        held = [event for event in events if event.get("cat") == name and event["pid"] >= FIRST_LANE]
        rows = [stage for row in report.layers for stage in row.stages if stage.name == name]
        stalled = sum(stage.stalled["upstream"] + stage.stalled["memory"] for stage in rows)
        # From start to free: busy, then stalled with the unit held.
        assert sum(event["dur"] for event in held) == sum(stage.busy for stage in rows) + stalled


@pytest.mark.parametrize("on", ["sat:tiny", "spatten:tiny"])
def test_the_bytes_of_the_channels_are_those_of_the_report(on: str) -> None:
    load, machine, report = made(on)
    counters: dict[str, list[dict[str, Any]]] = {}
    for event in timeline.events(load, machine, report):
        if event["pid"] == DRAM and event["ph"] == "C":
            counters.setdefault(event["name"], []).append(event)
    assert len(counters) == machine.dram.channels
    moved = {"read": 0.0, "write": 0.0}
    for found in counters.values():
        for event, after in itertools.pairwise(found):
            seconds = (after["ts"] - event["ts"]) / machine.clock_hz
            moved["read"] += event["args"]["read"] * 1e9 * seconds
            moved["write"] += event["args"]["written"] * 1e9 * seconds
    assert moved["read"] == pytest.approx(report.read_bytes, rel=1e-3)
    assert moved["write"] == pytest.approx(report.write_bytes, rel=1e-3, abs=1)


def test_a_window_has_every_command_of_the_memory_and_a_wait_for_every_stall(tmp_path: Path) -> None:
    load, machine, report = made("sat:tiny")
    every = list(timeline.events(load, machine, report, window=Window(first=0, last=report.cycles)))
    sent = [event["name"] for event in every if event["pid"] == DRAM and event["ph"] == "X"]
    assert sent.count("RD") * machine.dram.burst_bytes == report.read_bytes
    assert sent.count("WR") * machine.dram.burst_bytes == report.write_bytes
    for cause in ("memory", "upstream"):
        waits = sum(event["dur"] for event in every if event["name"] == f"waits for {cause}")
        assert waits == sum(causes[cause] for causes in report.stalls.values())
    part = list(timeline.events(load, machine, report, window=Window(first=100, last=300)))
    inside = [event for event in part if event["ph"] == "X" and event["pid"] != LAYERS]
    assert inside
    assert all(event["ts"] >= 100 and event["ts"] + event["dur"] <= 300 for event in inside)


def test_buffers_hold_what_they_may_and_end_empty() -> None:
    load, machine, report = made("sat:tiny")
    held: dict[str, list[int]] = {}
    for event in timeline.events(load, machine, report):
        if event["pid"] == BUFFERS and event["ph"] == "C":
            held.setdefault(event["name"], []).append(event["args"]["held"])
    capacity = {buffer.name: buffer.capacity for buffer in machine.array().layout().buffers}
    assert held.keys() == capacity.keys()
    for name, amounts in held.items():
        assert 0 < max(amounts) <= capacity[name]
        assert min(amounts) == amounts[-1] == 0


@pytest.mark.parametrize("most", [40, 120])
def test_a_timeline_is_as_long_as_it_may_be_and_says_what_is_missing(tmp_path: Path, most: int) -> None:
    load, machine, report = made("spatten:tiny")
    whole = list(timeline.events(load, machine, report))
    events = list(timeline.events(load, machine, report, most_events=most))
    assert not [event for event in whole if event["ph"] == "i"]
    assert len([event for event in events if event["ph"] != "M"]) <= most + 2 * len(report.layers)
    said = [event["args"]["what"] for event in events if event["ph"] == "i"]
    assert any("stages from cycle" in what for what in said)


@pytest.mark.parametrize("on", ["sat:tiny", "stc:tiny", "spatten:tiny"])
def test_of_a_long_layer_the_first_jobs_are_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, on: str
) -> None:
    monkeypatch.setattr("accelsim.timeline.layers.MOST_BURSTS", 20)
    monkeypatch.setattr("accelsim.timeline.layers.MOST_COMMANDS", 12)
    text = text_of(tmp_path / "a.json", on)
    assert complaints(text) == []
    said = [event["args"]["what"] for event in json.loads(text)["traceEvents"] if event["ph"] == "i"]
    assert all("on are not simulated here" in what for what in said[:2])
    assert all("DRAM commands behind the first 12 that were sent" in what for what in said[:2])


def test_equal_runs_give_equal_bytes(tmp_path: Path) -> None:
    assert text_of(tmp_path / "a.json", "stc:tiny") == text_of(tmp_path / "b.json", "stc:tiny")


def test_a_window_behind_the_run_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a window of cycles must begin before the run ends in cycle"):
        text_of(tmp_path / "a.json", "sat:tiny", window=Window(first=10**9, last=10**9 + 1))
    assert not list(tmp_path.iterdir())


def test_a_window_behind_the_run_costs_no_result(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    names = {"--json": "a.json", "--report": "a.html", "--timeline": "timeline.json"}
    files = [word for flag, name in names.items() for word in (flag, str(tmp_path / name))]
    assert main([*GEMM, *files, "--timeline-window", "999999999:1000000000"]) == 2
    said = capsys.readouterr()
    assert "gemm" in said.out
    assert "a window of cycles must begin before the run ends" in said.err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.html", "a.json"]


@pytest.mark.parametrize("text", ["", "5", "5:", "9:3", "3:3", "a:b", "-1:4", "1:2:3", "1e3:2e3", "٣:٤"])
def test_what_is_no_window_is_refused_in_one_line(
    text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    assert main([*GEMM, "--timeline", str(path), f"--timeline-window={text}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("accelsim: a window of cycles must be FIRST:LAST, such as 1000:3000, not ")
    assert error.count("\n") == 1
    assert not path.exists()


def test_the_command_line_writes_a_timeline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.json"
    assert main([*GEMM, "--timeline", str(path), "--timeline-window", "10:500"]) == 0
    assert complaints(path.read_text()) == []
    about = json.loads(path.read_text())["otherData"]
    assert (about["window"], about["accelerator"]) == ([10, 500], "sat")
    capsys.readouterr()
    assert main([*GEMM, "--timeline", str(tmp_path / "nowhere" / "a.json")]) == 2
    assert "--timeline must be a file in a folder that exists" in capsys.readouterr().err
    assert main([*GEMM, "--timeline-window", "1:2"]) == 2
    assert "--timeline-window belongs to --timeline" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("flag", ["--timeline", "--report", "--json"])
def test_a_full_disk_is_one_line(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*GEMM, flag, "/dev/full"]) == 2
    error = capsys.readouterr().err
    assert error == f"accelsim: {flag} '/dev/full' cannot be written: No space left on device\n"


GOOD = [
    {"ph": "M", "pid": 1, "tid": 0, "name": "process_name", "args": {"name": "p"}},
    {"ph": "M", "pid": 1, "tid": 1, "name": "thread_name", "args": {"name": "t"}},
    {"ph": "X", "pid": 1, "tid": 1, "ts": 0, "dur": 10, "name": "outer"},
    {"ph": "X", "pid": 1, "tid": 1, "ts": 2, "dur": 8, "name": "inner"},
    {"ph": "C", "pid": 1, "tid": 1, "ts": 3, "name": "c", "args": {"held": 1}},
    {"ph": "C", "pid": 1, "tid": 1, "ts": 4, "name": "c", "args": {"held": 0}},
]


@pytest.mark.parametrize(
    ("index", "change", "complaint"),
    [
        (2, {"ts": "a"}, "ts is no number"),
        (2, {"dur": -1}, "dur is no number >= 0"),
        (3, {"dur": 9}, "ends after the slice that it began in"),
        (4, {"args": {"held": "x"}}, "a counter's values are no numbers"),
        (4, {"ts": 5}, "goes back"),
        (0, {"pid": 2}, "process 1 has no name"),
        (1, {"tid": 7}, "thread (1, 1) has no name"),
        (3, {"ph": "Q"}, "unknown phase"),
        (3, {"name": ""}, "no name"),
        (1, {"name": "process_name"}, "something is named twice"),
    ],
)
def test_the_rules_can_be_broken(index: int, change: dict[str, Any], complaint: str) -> None:
    assert complaints(json.dumps({"traceEvents": GOOD})) == []
    bad = [*GOOD[:index], {**GOOD[index], **change}, *GOOD[index + 1 :]]
    assert any(complaint in line for line in complaints(json.dumps({"traceEvents": bad})))
    assert complaints('{"traceEvents": [NaN]}')[0].startswith("not JSON")
