"""Words of messages: what was expected beside a word that is not known, and reasons that many names share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

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


def by_reason(reasons: Mapping[str, str]) -> str:
    """Names with their reasons, as in "a and 2 more: too small; b: too large": each reason once."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    return "; ".join(
        f"{found[0]}{f' and {len(found) - 1} more' if len(found) > 1 else ''}: {reason}"
        for reason, found in names.items()
    )


def _nearest(word: str, words: list[str], *, n: int, cutoff: float) -> list[str]:
    """The words most like `word`, whatever their case: tccdl is near tCCD_L."""
    folded: dict[str, list[str]] = {}
    for each in words:
        folded.setdefault(each.lower(), []).append(each)
    found = difflib.get_close_matches(word.lower(), list(folded), n=n, cutoff=cutoff)
    return [each for low in found for each in folded[low]][:n]
