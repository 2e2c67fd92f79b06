"""Accuracy against speed-up in the units of its drawing: dense and pruned, or technique after technique."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from accelsim.report.ablation import accuracy_of
from accelsim.report.page.frame import Frame
from accelsim.report.report import Report
from accelsim.report.rows import ratio

FRAME = Frame(width=460, height=240, left=58, right=440, top=16, bottom=200)
TICKS = 6


@dataclass(frozen=True, kw_only=True)
class Step:
    """A model: its speed-up, its accuracy, and the interval around that, if one is known."""

    name: str
    speedup: float
    accuracy: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Savings:
    """Steps with their places; `low` and `high` are the ends of the interval, downwards as in SVG."""

    metric: str
    frame: Frame
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    steps: tuple[tuple[Step, float, float, float | None, float | None], ...]


def savings(report: Report) -> Savings | None:
    """None where fewer than two accuracies are known."""
    steps = _steps(report)
    if len(steps) < 2 or report.accuracy is None:
        return None
    heights = [step.accuracy for step in steps] + [end for step in steps for end in step.interval or ()]
    left, right = _room([step.speedup for step in steps])
    low, high = _room(heights)

    def x(value: float) -> float:
        return FRAME.x((value - left) / (right - left))

    def y(value: float) -> float:
        return FRAME.y((value - low) / (high - low))

    return Savings(
        metric=report.accuracy.metric.split(",")[0],
        frame=FRAME,
        x_ticks=tuple((x(value), f"{value:.3g}x") for value in _ticks(left, right)),
        y_ticks=tuple((y(value), f"{value:.3g}") for value in _ticks(low, high)),
        steps=tuple(
            (
                step,
                x(step.speedup),
                y(step.accuracy),
                y(step.interval[0]) if step.interval else None,
                y(step.interval[1]) if step.interval else None,
            )
            for step in steps
        ),
    )


def _steps(report: Report) -> list[Step]:
    """The techniques if there are any, else the dense model and the pruned one."""
    found = report.accuracy
    if report.ablation:
        first = report.ablation[0].seconds
        figures = [accuracy_of(report.ablation, index) for index in range(len(report.ablation))]
        return [
            Step(
                name=step.name,
                speedup=ratio(first, step.seconds) or 1.0,
                accuracy=accuracy,
                interval=step.accuracy.spread.pruned if step.accuracy and step.accuracy.spread else None,
            )
            for step, accuracy in zip(report.ablation, figures, strict=True)
            if accuracy is not None
        ]
    if found is None or found.dense is None or not report.speedup:
        return []
    spread = found.spread
    dense = Step(name="dense", speedup=1.0, accuracy=found.dense, interval=spread.dense if spread else None)
    return [
        dense,
        Step(
            name="pruned",
            speedup=report.speedup,
            accuracy=found.pruned,
            interval=spread.pruned if spread else None,
        ),
    ]


def _room(values: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis with room around all values."""
    low, high = min(values), max(values)
    room = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    return low - room, high + room


def _ticks(low: float, high: float) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten, at most `TICKS` of them."""
    power = math.floor(math.log10(high - low)) - 1
    steps = [float(f"{digit}e{each}") for each in (power, power + 1, power + 2) for digit in (1, 2, 5)]
    step = next(step for step in steps if (high - low) / step <= TICKS)
    return [step * place for place in range(math.ceil(low / step), math.floor(high / step) + 1)]
