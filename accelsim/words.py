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
        listed = [*difflib.get_close_matches(word.lower(), words, n=5, cutoff=0.0), "..."]
    line = f"{what} must be one of {', '.join(listed)}, not {word!r}"
    nearest = difflib.get_close_matches(word.lower(), words, n=1, cutoff=0.5)
    return f"{line}; did you mean {nearest[0]!r}?" if nearest else line
