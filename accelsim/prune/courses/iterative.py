"""Train, prune a part, go back to early weights, and again: lottery tickets."""

from __future__ import annotations

from accelsim.prune.word import Schedule, Settings, number


def check(settings: Settings) -> None:
    """ValueError for a part of an epoch."""
    if number(settings, "rewind") % 1:
        raise ValueError(f"rewind must be whole epochs, not {settings['rewind']}")


WORD = Schedule(
    name="iterative",
    sentence="accelsim train: in each of `rounds` the same share of what is left goes, and the rest starts "
    "again from its weights after `rewind` epochs (0: as they were drawn).",
    source="Frankle and Carbin, ICLR 2019, arXiv 1803.03635; rewinding: Frankle et al., ICML 2020, arXiv "
    "1912.05671",
    settings={"rounds": 3, "rewind": 0.0},
    check=check,
)
