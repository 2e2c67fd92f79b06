"""Which masks are allowed: one word a file. N:M and a fraction are said as numbers, the others by name."""

from accelsim.prune.patterns import blocks, nm, transposable, unstructured
from accelsim.prune.patterns.base import Pattern

PATTERNS: dict[str, Pattern] = {
    word.name: word for word in (unstructured.WORD, nm.WORD, transposable.WORD, blocks.WORD)
}
