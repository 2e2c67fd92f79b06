"""Walks: the addresses of nested loops, as `accelsim_rtl.walker` counts them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

Level = tuple[int, int]
"""A loop: how often it runs, and by how much the address grows each time."""


def addresses(begin: int, levels: Sequence[Level]) -> Iterator[int]:
    """The addresses of a walk from `begin`, in order; the first level is the innermost."""
    for places in product(*(range(count) for count, _ in reversed(levels))):
        yield begin + sum(place * stride for place, (_, stride) in zip(places, reversed(levels), strict=True))
