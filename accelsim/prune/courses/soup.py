"""Several networks retrained under one mask become one, their mean."""

from __future__ import annotations

from accelsim.prune.word import Schedule

WORD = Schedule(
    name="soup",
    sentence="accelsim train: in each of `phases` the same share of what is left goes, `members` are "
    "retrained with that mask in other orders of pictures, and their mean starts the next phase.",
    source="Zimmer et al. (Sparse Model Soups), ICLR 2024, arXiv 2306.16788",
    settings={"phases": 2, "members": 3},
)
