"""What a viewer expects of a file of Chrome's trace events: written from the format's description alone."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import Any

PHASES = {"X", "C", "M", "i"}
TOLERANCE = 1e-6


def complaints(text: str) -> list[str]:
    """One line for every rule that the file breaks; none for a good one."""
    try:
        document = json.loads(text, parse_constant=_no_number)
    except ValueError as error:
        return [f"not JSON: {error}"]
    if not isinstance(document, dict) or not isinstance(document.get("traceEvents"), list):
        return ["no list of events"]
    events = document["traceEvents"]
    found = [f"event {index}: {why}" for index, event in enumerate(events) for why in _wrong(event)]
    return found or [*_unnamed(events), *_overlaps(events), *_counters_out_of_order(events)]


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


def _wrong(event: Any) -> list[str]:
    if not isinstance(event, dict) or event.get("ph") not in PHASES:
        return [f"unknown phase in {event!r}"]
    wrong = [f"{key} is no whole number" for key in ("pid", "tid") if not isinstance(event.get(key), int)]
    if not (isinstance(event.get("name"), str) and event["name"]):
        wrong.append("no name")
    times = {"X": ("ts", "dur"), "C": ("ts",), "i": ("ts",), "M": ()}[event["ph"]]
    wrong += [f"{key} is no number >= 0" for key in times if not _is_number(event.get(key)) or event[key] < 0]
    if event["ph"] == "C" and not (
        event.get("args") and all(_is_number(value) for value in event["args"].values())
    ):
        wrong.append("a counter's values are no numbers")
    if event["ph"] == "M" and not isinstance(event.get("args", {}).get("name"), str):
        wrong.append("a name without a name")
    return wrong


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _unnamed(events: list[dict[str, Any]]) -> list[str]:
    processes = [e["pid"] for e in events if e["name"] == "process_name"]
    threads = [(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"]
    used = {(e["pid"], e["tid"]) for e in events if e["ph"] == "X"}
    wrong = [f"process {pid} has no name" for pid in {e["pid"] for e in events} - set(processes)]
    wrong += [f"thread {thread} has no name" for thread in used - set(threads)]
    if len(set(processes)) < len(processes) or len(set(threads)) < len(threads):
        wrong.append("something is named twice")
    return wrong


def _overlaps(events: list[dict[str, Any]]) -> list[str]:
    """Slices of one thread lie one behind the other or one inside the other."""
    tracks = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            tracks[event["pid"], event["tid"]].append((event["ts"], -event["dur"], event["name"]))
    wrong = []
    for track, slices in tracks.items():
        open_until: list[float] = []
        for begin, length, name in sorted(slices):
            end = begin - length
            while open_until and open_until[-1] <= begin + TOLERANCE:
                open_until.pop()
            if open_until and end > open_until[-1] + TOLERANCE:
                wrong.append(f"{name!r} at {begin} of track {track} ends after the slice that it began in")
            open_until.append(end)
    return wrong


def _counters_out_of_order(events: list[dict[str, Any]]) -> list[str]:
    last: dict[tuple[int, str], float] = {}
    wrong = []
    for event in events:
        if event["ph"] == "C":
            key = event["pid"], event["name"]
            if event["ts"] < last.get(key, 0.0):
                wrong.append(f"counter {key} goes back to {event['ts']}")
            last[key] = event["ts"]
    return wrong
