"""The frame of a drawing, in its own units: its size, and where its axes begin and end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Frame:
    """`left` and `right` end the x axis, `bottom` and `top` the y axis: downwards, as in SVG."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int

    def x(self, share: float) -> float:
        """The place of a share of the x axis."""
        return round(self.left + (self.right - self.left) * share, 1)

    def y(self, share: float) -> float:
        """The place of a share of the y axis."""
        return round(self.bottom - (self.bottom - self.top) * share, 1)
