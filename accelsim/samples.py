"""A long plan as a weighted sum of shorter ones: each is simulated whole, the sums stand for the long one.

Machines whose work repeats in more than one direction (a GEMM's waves and k-steps) write such plans;
weights may be negative, as on a line through two points. Tests hold the result against the long plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from accelsim.machine import CAUSES, Pins, Timeline, Traffic
from accelsim.plan import Integers, Plan
from accelsim.windows import Windowed

ANSWERS = (("read_bursts", "forwarded", "cache_hits"), ("write_bursts", "merged"))


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """A plan that counts `weight` times; `held`: addresses that were read before it."""

    plan: Plan
    weight: float
    held: Integers | None = None


def combine(
    samples: Sequence[Sample],
    timelines: Sequence[Timeline],
    share: float,
    least: int,
    asked: tuple[int, int] | None = None,
    line_bursts: int = 1,
) -> Windowed:
    """Sums of everything a report shows, `least` cycles at least.

    `share`: bursts simulated, of all. `asked`: bursts that the long plan reads and writes, if that is known;
    `line_bursts`: of a line of the cache, whose hits are counted in lines.
    """
    pairs = list(zip(samples, timelines, strict=True))
    stages = len(timelines[0].stages)
    busy, stalled = np.zeros(stages), np.zeros((stages, len(CAUSES)))
    for sample, timeline in pairs:
        busy += sample.weight * timeline.busy
        stalled += sample.weight * timeline.stalled
    cycles = max(least, round(sum(sample.weight * timeline.cycles for sample, timeline in pairs)))
    lanes = timelines[0].lanes
    whole = np.minimum(np.maximum(0, np.rint(busy)).astype(np.int64), lanes * cycles)
    room = lanes * cycles - whole
    # Along a line, stalls may come out above what is left.
    positive = np.maximum(0.0, stalled)
    over = np.maximum(1.0, positive.sum(axis=1) / np.maximum(room, 1))
    waits = np.floor(positive / over[:, None]).astype(np.int64)
    return Windowed(
        cycles=cycles,
        busy=whole,
        stalled=waits,
        idle=room - waits.sum(axis=1),
        traffic=_traffic(
            [(sample.weight, timeline.traffic) for sample, timeline in pairs], asked, line_bursts
        ),
        share=share,
    )


def _traffic(
    weighted: Sequence[tuple[float, Traffic]], asked: tuple[int, int] | None, line_bursts: int
) -> Traffic:
    """Sums of the counts, as many as were asked for; every burst stays a row hit, miss or conflict."""
    counts = {
        entry.name: max(0, round(sum(weight * getattr(one, entry.name) for weight, one in weighted)))
        for entry in fields(Traffic)
        if entry.name != "pins"
    }
    if asked is not None:
        hits = counts["cache_hits"] * line_bursts
        answered = (
            counts["read_bursts"] + counts["forwarded"] + hits,
            counts["write_bursts"] + counts["merged"],
        )
        for names, wanted, found in zip(ANSWERS, asked, answered, strict=True):
            for name in names:
                counts[name] = round(counts[name] * wanted / max(1, found))
    moved = counts["read_bursts"] + counts["write_bursts"]
    counts["row_misses"] = min(counts["row_misses"], moved)
    counts["row_conflicts"] = min(counts["row_conflicts"], moved - counts["row_misses"])
    counts["row_hits"] = moved - counts["row_misses"] - counts["row_conflicts"]
    pins = {
        entry.name: max(0, round(sum(weight * getattr(one.pins, entry.name) for weight, one in weighted)))
        for entry in fields(Pins)
    }
    return Traffic(**counts, pins=Pins(**pins))
