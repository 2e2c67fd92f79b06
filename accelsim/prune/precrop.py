"""A network narrower from its first step of training on, the recipe in words. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.prune.schedules import check_fraction, parse_fraction
from accelsim.words import unknown

DENSITIES = ("synflow", "even", "uniform")
"""Where the densities of layers come from that widths follow."""


@dataclass(frozen=True, kw_only=True)
class Precrop:
    """`keep` of the parameters stay, as whole channels; `by`: how the widths of layers are told.

    synflow: densities of SynFlow's mask at initialisation; even: every layer keeps as many weights as any
    other, or all it has; uniform: every width shrinks alike.
    """

    keep: float
    by: str = DENSITIES[0]

    def __post_init__(self) -> None:
        check_fraction("precrop", self.keep)
        if self.by not in DENSITIES:
            raise ValueError(unknown("by", self.by, DENSITIES))

    def __str__(self) -> str:
        return f"precrop,{self.keep:g},by={self.by}"


def parse_precrop(words: list[str]) -> Precrop:
    """From the words behind `precrop`. ValueError for what is not understood."""
    if not words or "=" in words[0] or len(words) > 2:
        raise ValueError(f"must say precrop,FRACTION or precrop,FRACTION,by={'|'.join(DENSITIES)}")
    by = DENSITIES[0]
    if len(words) == 2:
        name, _, by = words[1].partition("=")
        if name != "by":
            raise ValueError(unknown("word", name, ("by",)))
    return Precrop(keep=parse_fraction("precrop", words[0]), by=by)
