"""How many tokens, heads and values each layer of each pass keeps: the rule, steps, published schedules.

A fraction kept stands for the paper's rule (`golden.attention.schedule`), steps say it layer by layer. Real
models (`prune.cascade`) and networks of which only shapes are known (`models.drawing`) ask the same counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

from accelsim.golden.attention import keep_count, schedule

Kept = float | tuple[float, ...]
"""A mean over all layers, or one fraction for each layer."""


@dataclass(frozen=True, kw_only=True)
class Refetched:
    """Share of the rows of `layers` (None: all) that fetch their LSBs in the passes `first` to `last`."""

    first: int
    last: int
    layers: tuple[int, ...] | None
    share: Fraction


@dataclass(frozen=True, kw_only=True)
class Published:
    """A schedule by name: the words of the recipe that it stands for, and rows known to re-fetch."""

    sentence: str
    words: Mapping[str, str]
    refetched: tuple[Refetched, ...] = field(default=())


# The artefact's traces (mit-han-lab/spatten at a0f1388, hardware/workloads): kept keys are fractions of the
# 1,024 tokens at the end, the same in every pass, and the first generated token fetches all keys. Of the
# rows that re-fetch, published are 323 with 268,360 keys, in the first 15 passes and layers 0 and 1; rows
# there have 993, 921 or 716 keys, and 71 + 85 + 167 is the one split with both sums.
PUBLISHED = {
    "gpt2-small": Published(
        sentence="GPT-2 Small on WikiText-2, 12 layers",
        words={
            "tokens": "0.9/0.7/0.2*4/0.1*6",
            "values": "0.2",
            "bits": "6+4",
            "value_bits": "6",
            "threshold": "0.05",
            "of": "end",
            "spared": "2",
        },
        refetched=(
            Refetched(first=1, last=1, layers=None, share=Fraction(71, 144)),
            Refetched(first=2, last=15, layers=(0,), share=Fraction(85, 168)),
            Refetched(first=2, last=15, layers=(1,), share=Fraction(167, 168)),
        ),
    ),
    "gpt2-medium": Published(
        sentence="GPT-2 Medium on WikiText-2, 24 layers",
        words={
            "tokens": "1*2/0.9/0.8*2/0.6*6/0.3*13",
            "heads": "1*16/0.8125*6/0.625*2",
            "values": "0.3",
            "bits": "12",
            "value_bits": "8",
            "of": "end",
            "spared": "2",
        },
    ),
}


def parse_steps(name: str, text: str) -> tuple[float, ...]:
    """`0.9/0.7/0.2*4` as one fraction a layer. ValueError for what keeps nothing, or rises."""
    kept: list[float] = []
    for step in text.split("/"):
        fraction, times, layers = step.partition("*")
        count = int(layers) if layers.isascii() and layers.isdecimal() else 0
        if times and not 1 <= count <= 4096:
            raise ValueError(f"{name} must be steps FRACTION*LAYERS joined by /, not {step!r}")
        kept += [parse_fraction(name, fraction)] * (count if times else 1)
    if any(later > earlier for earlier, later in pairwise(kept)):
        raise ValueError(f"{name} must not rise from layer to layer (pruned stays pruned), not {text!r}")
    return tuple(kept)


def parse_fraction(name: str, text: str) -> float:
    """A number above 0 and at most 1."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{name} must be a number, not {text!r}") from None
    check_fraction(name, value)
    return value


def parse_whole(name: str, text: str) -> int:
    """A whole number, 0 included."""
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{name} must be a whole number, not {text!r}")
    return int(text)


def check_fraction(name: str, value: float) -> None:
    """ValueError unless something is kept, and no more than all."""
    # Written so that NaN is refused as well.
    if not 0 < value <= 1:
        raise ValueError(f"{name} must be above 0 and at most 1, not {value:g}")


def by_layer(name: str, kept: Kept, layers: int, start: float) -> tuple[float, ...]:
    """One fraction for each layer: the steps, or the paper's rule with `start` of the layers unpruned."""
    if not isinstance(kept, tuple):
        try:
            return schedule(layers, kept, start)
        except ValueError as error:
            raise ValueError(f"{name} of the recipe: {error}") from None
    if len(kept) != layers:
        raise ValueError(f"{name} of the recipe must be steps for {layers} layers, not for {len(kept)}")
    return kept


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What is kept, layer by layer and pass by pass; pass 0 is an encoder's, or that over a prompt.

    `tokens`, `heads`: fractions by layer; `values`: of a row's keys, from the pass `values_from` on.
    `at_end`: fractions are of the `end` tokens that there will be, else of those so far. `spared`: so many
    passes keep every token.
    """

    tokens: tuple[float, ...]
    heads: tuple[float, ...]
    values: float
    values_from: int = 0
    at_end: bool = False
    spared: int = 0

    def token_count(self, layer: int, passed: int, length: int, end: int = 0) -> int:
        """Tokens of `length` that a layer keeps. The first layer of pass 0 has no scores to choose by."""
        if passed < self.spared or (passed == 0 and layer == 0):
            return length
        return min(length, keep_count(self._whole(length, end), self.tokens[layer]))

    def head_count(self, layer: int, heads: int) -> int:
        """Heads that a layer keeps."""
        return keep_count(heads, self.heads[layer])

    def value_count(self, layer: int, passed: int, keys: int, length: int, end: int = 0) -> int:
        """V vectors of `keys` that a row keeps."""
        if self.values == 1 or passed < self.values_from:
            return keys
        if not self.at_end:
            return keep_count(keys, self.values)
        kept = 1.0 if passed < self.spared else self.tokens[layer]
        return min(keys, keep_count(keep_count(self._whole(length, end), kept), self.values))

    def _whole(self, length: int, end: int) -> int:
        return max(length, end) if self.at_end else length
