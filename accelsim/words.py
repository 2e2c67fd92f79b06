"""The message for a word that is not known: what was expected, and the nearest word that is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST_LIST = 12


def unknown(what: str, word: str, known: Iterable[str]) -> str:
    """One line for a `word` that is none of `known`, as in "preset must be one of a, b, not 'c'".

    Of many known words only the nearest are listed.
    """
    words = list(known)
    listed = words
    if len(words) > LONGEST_LIST:
        listed = [*_nearest(word, words, n=5, cutoff=0.0), "..."]
    line = f"{what} must be one of {', '.join(listed)}, not {word!r}"
    nearest = _nearest(word, words, n=1, cutoff=0.5)
    return f"{line}; did you mean {nearest[0]!r}?" if nearest else line


def _nearest(word: str, words: list[str], *, n: int, cutoff: float) -> list[str]:
    """The words most like `word`, whatever their case: tccdl is near tCCD_L."""
    folded: dict[str, list[str]] = {}
    for each in words:
        folded.setdefault(each.lower(), []).append(each)
    found = difflib.get_close_matches(word.lower(), list(folded), n=n, cutoff=cutoff)
    return [each for low in found for each in folded[low]][:n]
