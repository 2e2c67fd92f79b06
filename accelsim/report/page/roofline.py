"""A roofline in the units of its drawing: both axes logarithmic, the y axis downwards as in SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from accelsim.report.figures import Point, Roofline, ticks
from accelsim.report.page.frame import Frame

FRAME = Frame(width=460, height=320, left=54, right=446, top=14, bottom=280)
SMALLEST, LARGEST = 3.0, 9.0  # radius of a point
NUMBERED = 5
ROOM = 1.25
MOST_POINTS = 200
"""Of each kind; where there are more, those in one square of `GRAIN` units become one."""
GRAIN = 2
AROUND = ((-0.7, 0.7), (-0.9, -0.4), (0.6, -0.8), (0.9, 0.5))


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A point as it is drawn; `number`: of those that take most of the time, else 0, and
    where it stands."""

    point: Point
    kind: str
    x: float
    y: float
    radius: float
    number: int
    number_x: float
    number_y: float
    share: float


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Lines and dots. `roof`: (x, y) of its corners; `ridge`: operations a byte at its bend, or None.

    `merged`: dots stand for all points near them.
    """

    roofline: Roofline
    frame: Frame
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    roof: tuple[tuple[float, float], ...]
    ridge: float | None
    dots: tuple[Dot, ...]
    merged: bool


def draw(roofline: Roofline, seconds: float) -> Drawing:
    """`seconds`: of the whole run; dots are as large as their share of it."""
    points = [*roofline.dense, *roofline.pruned]
    ridge = None if roofline.peak_gops is None else roofline.peak_gops / roofline.peak_gbps
    across = [point.intensity for point in points] + ([ridge] if ridge else [])
    low, high = _around(min(across), max(across))
    up = [point.gops for point in points] + [roofline.roof(high)]
    least, most = _around(min(up), max(up))

    def x(value: float) -> float:
        return FRAME.x(_place(value, low, high))

    def y(value: float) -> float:
        return FRAME.y(_place(value, least, most))

    dense, pruned = (_merged(found, x, y) for found in (roofline.dense, roofline.pruned))
    begin = max(low, least / roofline.peak_gbps)
    corners = [begin, *([ridge] if ridge else []), high]
    by_time = sorted(pruned, key=lambda point: -point.seconds)
    numbers = {id(point): number for number, point in enumerate(by_time[:NUMBERED], 1)}
    dots = [
        _dot(
            point, kind, x(point.intensity), y(point.gops), numbers.get(id(point), 0), point.seconds / seconds
        )
        for kind, found in (("dense", dense), ("pruned", pruned))
        for point in sorted(found, key=lambda point: -point.seconds)
    ]
    return Drawing(
        roofline=roofline,
        frame=FRAME,
        x_ticks=tuple((x(value), _short(value)) for value in ticks(low, high)),
        y_ticks=tuple((y(value), _short(value)) for value in ticks(least, most)),
        roof=tuple((x(value), y(roofline.roof(value))) for value in corners),
        ridge=ridge,
        dots=tuple(dots),
        merged=len(dots) < len(points),
    )


def _merged(
    points: Sequence[Point], x: Callable[[float], float], y: Callable[[float], float]
) -> Sequence[Point]:
    """The points, or if they are many one for each little square: its longest, with the time of all."""
    if len(points) <= MOST_POINTS:
        return points
    squares: dict[tuple[float, float], list[Point]] = {}
    for point in sorted(points, key=lambda point: -point.seconds):
        square = x(point.intensity) // GRAIN, y(point.gops) // GRAIN
        squares.setdefault(square, []).append(point)
    return [
        replace(
            near[0],
            names=tuple(name for point in near for name in point.names),
            seconds=math.fsum(point.seconds for point in near),
        )
        for near in squares.values()
    ]


def _dot(point: Point, kind: str, x: float, y: float, number: int, share: float) -> Dot:
    """Numbers stand around their dots by turns, so that those of neighbours do not meet."""
    radius = _radius(share)
    right, below = AROUND[number % len(AROUND)]
    return Dot(
        point=point,
        kind=kind,
        x=x,
        y=y,
        radius=radius,
        number=number,
        number_x=round(x + right * (radius + 5), 1),
        number_y=round(y + below * (radius + 5) + 4, 1),
        share=share,
    )


def _around(low: float, high: float) -> tuple[float, float]:
    """Ends of an axis that has room around both: 1, 2 or 5 times a power of ten."""
    return max(value for value in _round(low) if value < low / ROOM), min(
        value for value in _round(high) if value > high * ROOM
    )


def _round(value: float) -> list[float]:
    power = math.floor(math.log10(value))
    return [digit * 10.0**each for each in range(power - 2, power + 3) for digit in (1, 2, 5)]


def _place(value: float, low: float, high: float) -> float:
    return (math.log10(value) - math.log10(low)) / (math.log10(high) - math.log10(low))


def _radius(share: float) -> float:
    """The area follows the share of the time."""
    return round(SMALLEST + (LARGEST - SMALLEST) * math.sqrt(min(1.0, share)), 1)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"
