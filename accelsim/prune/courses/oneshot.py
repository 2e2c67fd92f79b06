"""Train, prune once, train again with the mask as it is."""

from __future__ import annotations

from accelsim.prune.word import Schedule

WORD = Schedule(
    name="oneshot",
    sentence="accelsim train: all epochs dense, one cut, and as many epochs again with the mask fixed.",
    source="Han et al., NeurIPS 2015, arXiv 1506.02626",
)
