"""Long plans without every burst: windows of their jobs are simulated, the rest follows in proportion.

`run` calls it for plans that say so. Inside a window every burst passes the banks. A segment of jobs may
stand for several that are equal. Tests hold the result against all bursts simulated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from accelsim.dram import Memory
from accelsim.machine import CAUSES, Pins, Timeline, Traffic, simulate
from accelsim.plan import Integers, Plan

WINDOWS = 4  # of a segment that is too long
EDGE = 2  # jobs at either end of a segment that are counted for themselves
WARM_UP = 0.25  # of a window's bursts, simulated before it and not counted


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Jobs `first` to before `last`, `times` over."""

    first: int
    last: int
    times: int = 1


@dataclass(frozen=True, kw_only=True)
class Windowed:
    """What `Timeline` has in sum. `share`: bursts that were simulated, of all."""

    cycles: int
    busy: Integers
    stalled: Integers
    idle: Integers
    traffic: Traffic
    share: float


@dataclass(frozen=True, kw_only=True)
class _Window:
    """Jobs that are simulated from `warm` on and counted from `first` to before `last`, `weight` times."""

    warm: int
    first: int
    last: int
    weight: float


def compute_cycles(plan: Plan, segments: Sequence[Segment]) -> int:
    """Cycles with unlimited memory."""
    timeline = simulate(plan, None)
    marks = _marks(plan, timeline)
    paced = sum(segment.times * int(marks[segment.last] - marks[segment.first]) for segment in segments)
    return paced + timeline.cycles - int(marks[-1])


def simulate_windows(
    plan: Plan, memory: Memory, segments: Sequence[Segment], most_bursts: int
) -> tuple[Windowed, list[tuple[Plan, Timeline]]]:
    """The plan with its repeated segments, and each window's plan with its timeline, for its books."""
    windows = list(_windows(plan, memory, segments, most_bursts))
    total = _Sums(np.zeros((len(plan.layout.stages), len(CAUSES))))
    simulated = []
    last_slice: tuple[int, int, Plan, Timeline] | None = None
    for window in windows:
        if last_slice is None or last_slice[:2] != (window.warm, _end(plan, windows, window)):
            last = _end(plan, windows, window)
            piece = cut(plan, window.warm, last)
            last_slice = (window.warm, last, piece, simulate(piece, memory))
            simulated.append((piece, last_slice[3]))
        _, last, piece, timeline = last_slice
        marks = _marks(piece, timeline)
        cycles = window.weight * (marks[window.last - window.warm] - marks[window.first - window.warm])
        if window.last == plan.jobs:
            # What the other stages still do when the busiest is done comes once, at the very end.
            cycles += timeline.cycles - marks[-1]
        total.add(float(cycles), timeline)
    return total.windowed(plan, segments, simulated), simulated


def _end(plan: Plan, windows: Sequence[_Window], window: _Window) -> int:
    """Windows of one simulation begin at one job and are simulated to the last of them."""
    return max(other.last for other in windows if other.warm == window.warm)


def cut(plan: Plan, first: int, last: int) -> Plan:
    """Jobs `first` to before `last`: what lay in buffers is taken at the start, all is given at the end."""
    piece = Plan(layout=plan.layout, jobs=last - first)
    for name in ("busy", "lag", "drain", "whole", "skip", "take", "give", "group"):
        setattr(piece, name, getattr(plan, name)[first:last].copy())
    if plan.layout.buffers:
        piece.take[0] += (plan.take[:first] - plan.give[:first]).sum(axis=0)
        piece.give[-1] += (piece.take - piece.give).sum(axis=0)
    inside = (plan.runs["job"] >= first) & (plan.runs["job"] < last)
    piece.runs = plan.runs[inside].copy()
    piece.runs["job"] -= first
    after = plan.after
    inside = (after["job"] >= first) & (after["job"] < last) & (after["other_job"] >= first)
    piece.after = after[inside & (after["other_job"] < last)].copy()
    piece.after["job"] -= first
    piece.after["other_job"] -= first
    return piece


def _windows(plan: Plan, memory: Memory, segments: Sequence[Segment], most_bursts: int) -> Iterator[_Window]:
    bursts = np.zeros(plan.jobs + 1, np.int64)
    np.add.at(bursts, plan.runs["job"] + 1, plan.runs["count"])
    paced = _expected(plan, memory, bursts[1:])
    bursts, ends = np.cumsum(bursts), np.concatenate([[0.0], np.cumsum(paced)])
    if not most_bursts or bursts[-1] <= most_bursts:
        for segment in segments:
            yield _Window(warm=0, first=segment.first, last=segment.last, weight=segment.times)
        return
    whole = sum(segment.times * (ends[segment.last] - ends[segment.first]) for segment in segments)
    for segment in segments:
        share = segment.times * (ends[segment.last] - ends[segment.first]) / whole
        room = int(most_bursts * max(0.05, share))
        if bursts[segment.last] - bursts[segment.first] <= room or segment.last - segment.first <= 2 * EDGE:
            warm = _before(bursts, segment.first, int(WARM_UP * room))
            yield _Window(warm=warm, first=segment.first, last=segment.last, weight=segment.times)
        else:
            yield from _strata(bursts, ends, segment, room)


def _strata(bursts: Integers, ends: np.ndarray, segment: Segment, room: int) -> Iterator[_Window]:
    """The edges of a segment, each for itself, and between them a window in the middle of each stratum."""
    first, last = segment.first + EDGE, segment.last - EDGE
    warm = _before(bursts, last, int(WARM_UP * room) // WINDOWS)
    yield _Window(warm=max(0, segment.first - EDGE), first=segment.first, last=first, weight=segment.times)
    yield _Window(warm=warm, first=last, last=segment.last, weight=segment.times)
    span = (ends[last] - ends[first]) / WINDOWS
    inner = Segment(first=first, last=last)
    for stratum in range(WINDOWS):
        at = ends[first] + (stratum + 0.5) * span
        begin, end = _around(bursts, ends, inner, at, room // WINDOWS)
        yield _Window(
            warm=_before(bursts, begin, int(WARM_UP * room) // WINDOWS),
            first=begin,
            last=end,
            weight=segment.times * span / (ends[end] - ends[begin]),
        )


def _around(bursts: Integers, ends: np.ndarray, segment: Segment, at: float, room: int) -> tuple[int, int]:
    """Whole jobs of about `room` bursts around a point of the expected time, inside the segment."""
    middle = int(np.clip(np.searchsorted(ends, at, "right") - 1, segment.first, segment.last - 1))
    first = int(np.searchsorted(bursts, bursts[middle] - room // 2))
    first = int(np.clip(first, segment.first, middle))
    last = int(np.searchsorted(bursts, bursts[first] + room))
    return first, int(np.clip(last, middle + 1, segment.last))


def _before(bursts: Integers, first: int, room: int) -> int:
    """A job from which about `room` bursts, and two jobs at least, lie before `first`."""
    return max(0, min(first - 2, int(np.searchsorted(bursts, bursts[first] - room))))


def _expected(plan: Plan, memory: Memory, bursts: Integers) -> np.ndarray:
    """Cycles of each job if nothing but its busiest unit or the pins counted; never 0."""
    bytes_per_cycle = memory.dram.peak_bandwidth / memory.clock_hz
    moved = bursts * memory.access_bytes / bytes_per_cycle
    paced: np.ndarray = np.maximum(np.where(plan.skip, 0, plan.busy).max(axis=1), moved) + 1e-3
    return paced


def _marks(plan: Plan, timeline: Timeline) -> Integers:
    """(jobs + 1,): when the busiest stage is done with the jobs before."""
    pace = int(np.where(plan.skip, 0, plan.busy).sum(axis=0).argmax())
    return np.concatenate([[0], np.maximum.accumulate(timeline.free[:, pace])])


@dataclass
class _Sums:
    stalled: np.ndarray
    cycles: float = 0.0
    traffic: np.ndarray | None = None
    pins: np.ndarray | None = None

    def add(self, cycles: float, timeline: Timeline) -> None:
        """Counts of the window's simulation, in proportion to its cycles."""
        share = cycles / max(1, timeline.cycles)
        self.cycles += cycles
        self.stalled += timeline.stalled * share
        flat = np.array([getattr(timeline.traffic, name) for name in _COUNTS], np.float64) * share
        pins = np.array(list(vars(timeline.traffic.pins).values()), np.float64) * share
        self.traffic = flat if self.traffic is None else self.traffic + flat
        self.pins = pins if self.pins is None else self.pins + pins

    def windowed(
        self, plan: Plan, segments: Sequence[Segment], simulated: Sequence[tuple[Plan, Timeline]]
    ) -> Windowed:
        """Rounded, with what is known exactly set right: busy cycles and bursts."""
        cycles = round(self.cycles)
        busy = np.zeros(len(plan.layout.stages), np.int64)
        bursts = [0, 0]
        for segment in segments:
            jobs = slice(segment.first, segment.last)
            busy += segment.times * np.where(plan.skip, 0, plan.busy)[jobs].sum(axis=0)
            for write in (False, True):
                bursts[write] += segment.times * _bursts(plan, segment, write)
        cycles = max(cycles, int(busy.max()))
        room = plan.layout.lanes * cycles - busy
        over = np.maximum(1.0, self.stalled.sum(axis=1) / np.maximum(room, 1))
        stalled = np.floor(self.stalled / over[:, None]).astype(np.int64)
        done = sum(piece.bursts(write=False) + piece.bursts(write=True) for piece, _ in simulated)
        return Windowed(
            cycles=cycles,
            busy=busy,
            stalled=stalled,
            idle=room - stalled.sum(axis=1),
            traffic=self._traffic(*bursts),
            share=min(1.0, done / max(1, sum(bursts))),
        )

    def _traffic(self, reads: int, writes: int) -> Traffic:
        scaled = dict(
            zip(_COUNTS, np.zeros(len(_COUNTS)) if self.traffic is None else self.traffic, strict=True)
        )
        moved = scaled["row_hits"] + scaled["row_misses"] + scaled["row_conflicts"]
        factor = (reads + writes) / moved if moved else 0.0
        misses, conflicts = (round(factor * scaled[name]) for name in ("row_misses", "row_conflicts"))
        counts = {name: round(scaled[name]) for name in ("activates", "refreshes", "open_clocks", "clocks")}
        pins = dict(
            zip(vars(Pins()), (round(n) for n in (self.pins if self.pins is not None else [])), strict=False)
        )
        return Traffic(
            read_bursts=reads,
            write_bursts=writes,
            row_hits=reads + writes - misses - conflicts,
            row_misses=misses,
            row_conflicts=conflicts,
            pins=replace(Pins(), **pins),
            **counts,
        )


_COUNTS = ("row_hits", "row_misses", "row_conflicts", "activates", "refreshes", "open_clocks", "clocks")


def _bursts(plan: Plan, segment: Segment, write: bool) -> int:
    writes = np.array([stage.write for stage in plan.layout.stages])
    runs = plan.runs
    inside = (runs["job"] >= segment.first) & (runs["job"] < segment.last)
    return int(runs["count"][inside & (writes[runs["stage"]] == write)].sum())
