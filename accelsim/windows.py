"""Long plans without every burst: windows of their jobs are simulated, the rest follows in proportion.

`run` calls it for plans that say so. Inside a window every burst passes the banks; what a window stands for
is measured in the time that `paced` expects, whose memory has no banks. A segment of jobs may stand for
several that are equal. Tests hold the result against all bursts simulated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np

from accelsim.dram import Memory
from accelsim.machine import CAUSES, Pins, Timeline, Traffic, simulate
from accelsim.plan import RUN, Integers, Plan

WINDOWS = 6  # of a segment that is too long
EDGE = 2  # jobs at either end of a segment that are counted for themselves
GOLDEN = (5**0.5 - 1) / 2  # no plan repeats itself in its steps, so windows do not all meet the same phase
WARM_UP = 0.25  # of a window's bursts, simulated before it and not counted
BESIDE = 2  # jobs, as many at least before a window and as many behind it, whose fetches share the memory


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
    """Jobs `warm` to before `behind` are simulated, `first` to before `last` counted, `weight` times.

    The first stage runs ahead, to before `until`.
    """

    warm: int
    first: int
    last: int
    behind: int
    until: int
    weight: float


def paced(plan: Plan, bytes_per_access: int, bytes_per_cycle: float) -> Plan:
    """The plan with a memory that has no banks: one unit, access after access, each as long as its bytes.

    To be simulated without a memory: stages, buffers and turns at the memory bind as they will.
    """
    layout = plan.layout
    moves = np.array([bool(stage.port) for stage in layout.stages])
    stages = tuple(
        replace(stage, unit="memory", scope="machine", port="", write=False) if stage.port else stage
        for stage in layout.stages
    )
    bursts = np.zeros(plan.busy.shape, np.int64)
    np.add.at(bursts, (plan.runs["job"], plan.runs["stage"]), plan.runs["count"])
    flat = copy(plan)
    flat.layout = replace(layout, stages=stages)
    moved = np.ceil(bursts * (bytes_per_access / bytes_per_cycle)).astype(np.int64)
    flat.busy = np.maximum(plan.busy, moved)
    # Nobody holds the memory and waits for data.
    flat.whole = plan.whole | moves
    flat.runs = np.zeros(0, RUN)
    return flat


def compute_cycles(plan: Plan, segments: Sequence[Segment]) -> int:
    """Cycles with unlimited memory."""
    timeline = simulate(plan, None)
    marks = _marks(plan, timeline)
    counted = sum(segment.times * int(marks[segment.last] - marks[segment.first]) for segment in segments)
    return counted + timeline.cycles - int(marks[-1])


def simulate_windows(
    plan: Plan, memory: Memory, segments: Sequence[Segment], most_bursts: int
) -> tuple[Windowed, list[tuple[Plan, Timeline]]]:
    """The plan with its repeated segments, and each window's plan with its timeline, for its books."""
    guide = _guide(plan, memory) if most_bursts else None
    windows = list(_windows(plan, guide, segments, most_bursts))
    total = _Sums(np.zeros((len(plan.layout.stages), len(CAUSES))))
    done: dict[tuple[int, int, int], tuple[Plan, Timeline]] = {}
    for window in windows:
        part = window.warm, window.behind, window.until
        if part not in done:
            piece = _running(plan, window, guide) if guide else cut(plan, window.warm, window.until)
            done[part] = piece, simulate(piece, memory)
        piece, timeline = done[part]
        marks = _marks(piece, timeline)
        cycles = window.weight * (marks[window.last - window.warm] - marks[window.first - window.warm])
        if window.last == plan.jobs:
            # What the other stages still do when the busiest is done comes once, at the very end.
            cycles += timeline.cycles - marks[-1]
        total.add(float(cycles), timeline)
    simulated = list(done.values())
    return total.windowed(plan, segments, simulated), simulated


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
    piece.operands = list(plan.operands)
    piece.runs["job"] -= first
    after = plan.after
    inside = (after["job"] >= first) & (after["job"] < last) & (after["other_job"] >= first)
    piece.after = after[inside & (after["other_job"] < last)].copy()
    piece.after["job"] -= first
    piece.after["other_job"] -= first
    return piece


@dataclass(frozen=True, kw_only=True)
class _Guide:
    """What is expected of a plan: a timeline without banks.

    `ends`: cycles, `bursts`: accesses of the jobs before each (jobs + 1,); `fetched`: of their first stage.
    """

    bursts: Integers
    fetched: Integers
    ends: np.ndarray
    timeline: Timeline

    def before(self, first: int, room: int) -> int:
        """A job from which about `room` bursts, and some jobs at least, lie before `first`."""
        return max(0, min(first - BESIDE, int(np.searchsorted(self.bursts, self.bursts[first] - room))))

    def window(self, first: int, last: int, room: int, weight: float) -> _Window:
        """One that counts jobs `first` to before `last`, after a warm-up of about `room` bursts."""
        jobs = self.bursts.size - 1
        behind = min(jobs, last + BESIDE)
        # The last job, and one, whose fetch shares the memory with a job before `last`.
        fetched = int(np.searchsorted(self.timeline.start[:, 0], self.ends[last]))
        return _Window(
            warm=self.before(first, room),
            first=first,
            last=last,
            behind=behind,
            until=min(jobs, max(behind, fetched)),
            weight=weight,
        )

    def cost(self, window: _Window) -> int:
        """Bursts that are simulated for a window."""
        there = int(np.searchsorted(self.timeline.end[:, 0], self.ends[window.warm], "right"))
        there = int(np.clip(there, window.warm, window.until)) if window.warm else 0
        others = self.bursts - self.fetched
        fetched = self.fetched[window.until] - self.fetched[there]
        return int(fetched + others[window.behind] - others[window.warm])


def _guide(plan: Plan, memory: Memory) -> _Guide:
    bursts = np.zeros((plan.jobs + 1, 2), np.int64)
    np.add.at(bursts, (plan.runs["job"] + 1, np.minimum(plan.runs["stage"], 1)), plan.runs["count"])
    before = np.cumsum(bursts, axis=0)
    bytes_per_cycle = memory.dram.stream_bandwidth / memory.clock_hz
    timeline = simulate(paced(plan, memory.access_bytes, bytes_per_cycle), None)
    ends = _marks(plan, timeline) + 1e-3 * np.arange(plan.jobs + 1)
    return _Guide(bursts=before.sum(axis=1), fetched=before[:, 0], ends=ends, timeline=timeline)


def _running(plan: Plan, window: _Window, guide: _Guide) -> Plan:
    """The jobs of a window on a machine that runs: what it had fetched ahead by then is there."""
    piece = cut(plan, window.warm, window.until)
    job, stage = piece.runs["job"], piece.runs["stage"]
    moves = (stage == 0) | (job < window.behind - window.warm)
    if window.warm:
        there = guide.timeline.end[window.warm : window.until] <= guide.ends[window.warm]
        moves &= ~there[job, stage]
    piece.runs = piece.runs[moves]
    return piece


def _windows(
    plan: Plan, guide: _Guide | None, segments: Sequence[Segment], most_bursts: int
) -> Iterator[_Window]:
    if guide is None or guide.bursts[-1] <= most_bursts:
        for segment in segments:
            first, last = segment.first, segment.last
            yield _Window(
                warm=0, first=first, last=last, behind=plan.jobs, until=plan.jobs, weight=segment.times
            )
        return
    bursts, ends = guide.bursts, guide.ends
    whole = sum(segment.times * (ends[segment.last] - ends[segment.first]) for segment in segments)
    for segment in segments:
        share = segment.times * (ends[segment.last] - ends[segment.first]) / whole
        room = int(most_bursts * max(0.05, share))
        length = bursts[segment.last] - bursts[segment.first]
        if length > room and segment.last - segment.first > 2 * EDGE:
            windows = list(_strata(guide, segment, room))
            if sum(map(guide.cost, windows)) < length:
                yield from windows
                continue
        yield guide.window(segment.first, segment.last, int(WARM_UP * room), segment.times)


def _strata(guide: _Guide, segment: Segment, room: int) -> Iterator[_Window]:
    """The edges of a segment, each for itself, and between them a window in each stratum."""
    ends, warm_up = guide.ends, int(WARM_UP * room) // WINDOWS
    inner = replace(segment, first=segment.first + EDGE, last=segment.last - EDGE)
    for first, last in ((segment.first, inner.first), (inner.last, segment.last)):
        yield guide.window(first, last, warm_up, segment.times)
    span = (ends[inner.last] - ends[inner.first]) / WINDOWS
    for stratum in range(WINDOWS):
        at = ends[inner.first] + (stratum + (0.5 + stratum * GOLDEN) % 1) * span
        begin, end = _around(guide, inner, at, room // WINDOWS)
        weight = segment.times * span / (ends[end] - ends[begin])
        yield guide.window(begin, end, warm_up, weight)


def _around(guide: _Guide, segment: Segment, at: float, room: int) -> tuple[int, int]:
    """Whole jobs of about `room` bursts around a point of the expected time, inside the segment."""
    bursts, ends = guide.bursts, guide.ends
    middle = int(np.clip(np.searchsorted(ends, at, "right") - 1, segment.first, segment.last - 1))
    first = int(np.searchsorted(bursts, bursts[middle] - room // 2))
    first = int(np.clip(first, segment.first, middle))
    last = int(np.searchsorted(bursts, bursts[first] + room))
    return first, int(np.clip(last, middle + 1, segment.last))


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
