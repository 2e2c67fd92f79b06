"""More and more weights go while the network trains, most of them early."""

from __future__ import annotations

from accelsim.prune.word import Schedule, Settings, number


def check(settings: Settings) -> None:
    """ValueError for a ramp that does not rise inside the training."""
    begin, end = number(settings, "begin"), number(settings, "end")
    if not begin < end < 1:
        raise ValueError(f"begin must be below end, and end below 1, not {begin:g} and {end:g}")


WORD = Schedule(
    name="gradual",
    sentence="accelsim train: in `times` cuts between the shares `begin` and `end` of the steps what is "
    "removed goes up as 1 - (1 - t)^3.",
    source="Zhu and Gupta, 2017, arXiv 1710.01878",
    settings={"begin": 0.2, "end": 0.7, "times": 10},
    check=check,
)
