"""The language of recipes: words joined by commas, checked before any model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from accelsim.golden.attention import HEAD_START, TOKEN_START
from accelsim.golden.formats import check_pattern
from accelsim.prune.composed import WORDS as COMPOSED_WORDS
from accelsim.prune.composed import Composed, parse_composed
from accelsim.prune.depth import Depth, Shallow, parse_depth
from accelsim.prune.fitted import Fitted
from accelsim.prune.patterns.base import Pattern
from accelsim.prune.precrop import Precrop, parse_precrop
from accelsim.prune.schedules import (
    PUBLISHED,
    Counts,
    Kept,
    by_layer,
    check_fraction,
    parse_fraction,
    parse_steps,
    parse_whole,
)
from accelsim.prune.scores import SCORES
from accelsim.prune.sentences import SENTENCES, SOURCES
from accelsim.words import unknown

Made = TypeVar("Made")

MSB_BITS = (4, 6, 8, 10, 12)
LSB_BITS = (0, 4)
"""Settings that the paper names (section 3); LSB 0 is static quantisation."""

DEFAULT_THRESHOLD = 0.1
"""The usual bound on a row's largest probability below which its LSBs are fetched (section 5)."""


METHODS = ("bdwp", "srste", "sdgp", "transposable")

DEFAULT_DECAY = {"srste": 2e-4}
"""SR-STE's published factor; the other methods have none unless it is given."""

DEFAULT_RECENT = 8
"""Generated tokens that are not pruned yet; the paper protects none and does not say how they survive."""


WORDS = {"scores": ("mean", "sum"), "of": ("now", "end"), "values_in": ("all", "generation")}
"""Settings that are words: which ones there are."""

LINEAR = "linear"
"""Name of the schedule that is the paper's rule."""


@dataclass(frozen=True, kw_only=True)
class Magnitude:
    """Keep the largest weights: N of every M along the reduction, or a fraction of each layer.

    `pairs`: weights 2i and 2i + 1 are kept or dropped as one, by the sum of their magnitudes.
    """

    n: int = 0
    m: int = 0
    keep: float = 0.0
    pairs: bool = False

    def __post_init__(self) -> None:
        if (self.m > 0) == (self.keep > 0):
            raise ValueError(
                f"magnitude must be told N:M or a fraction kept, not {self.n}:{self.m} and {self.keep}"
            )
        if self.m:
            check_pattern(self.n, self.m)
        else:
            check_fraction("magnitude", self.keep)
        if self.pairs and (not self.m or self.n % 2 or self.m % 2):
            raise ValueError(f"pairs must have an even N and M, not {self.n}:{self.m}")


@dataclass(frozen=True, kw_only=True)
class Spatten:
    """Cascade pruning: fractions kept, averaged over layers by `golden.attention.schedule`; 1 is all.

    `tokens` and `heads` may be steps instead, a fraction for each layer; `schedule` is the name of those that
    are published. `values` is the fraction of the keys of each row whose V vectors are used; `channels` of
    each head's K channels. `bits`: (MSB, LSB) of Q, K and V; None is not quantised; `value_bits`: of V,
    0 as the MSBs. `threshold`: rows whose largest probability is lower fetch their LSBs.

    In generation: `recent` newest tokens are kept whatever their importance, which is divided by the rows
    that could see the token (`scores`: mean; sum: as it adds up). `of`: fractions are of the tokens so far
    (now), or of those there will be (end). `spared`: passes that keep every token, the prompt's first.
    `values_in`: passes whose rows prune V; the paper drops them in every row (all), but saves their fetch in
    generation alone, and a prompt's many rows wait for the one selection.
    """

    tokens: Kept = 1.0
    heads: Kept = 1.0
    values: float = 1.0
    channels: float = 1.0
    bits: tuple[int, int] | None = None
    value_bits: int = 0
    threshold: float = DEFAULT_THRESHOLD
    recent: int = DEFAULT_RECENT
    scores: str = "mean"
    of: str = "now"
    spared: int = 0
    values_in: str = "all"
    schedule: str = ""

    def __post_init__(self) -> None:
        for name in ("tokens", "heads"):
            kept = getattr(self, name)
            for fraction in kept if isinstance(kept, tuple) else (kept,):
                check_fraction(name, fraction)
        for name in ("values", "channels", "threshold"):
            check_fraction(name, getattr(self, name))
        if self.recent < 1:
            raise ValueError(f"recent must be at least 1 (the token itself), not {self.recent}")
        for name, known_words in WORDS.items():
            if getattr(self, name) not in known_words:
                raise ValueError(unknown(name, getattr(self, name), known_words))
        if self.spared < 0:
            raise ValueError(f"spared must be at least 0, not {self.spared}")
        if self.bits is not None and (self.bits[0] not in MSB_BITS or self.bits[1] not in LSB_BITS):
            raise ValueError(
                f"bits must be MSB+LSB with MSB in {MSB_BITS} and LSB in {LSB_BITS}, "
                f"not {self.bits[0]}+{self.bits[1]}"
            )
        if self.value_bits and (self.bits is None or self.value_bits not in MSB_BITS):
            raise ValueError(f"value_bits must be one of {MSB_BITS}, beside bits, not {self.value_bits}")

    @property
    def prunes_tokens(self) -> bool:
        """Whether any layer drops tokens."""
        return self.tokens != 1 and (not isinstance(self.tokens, tuple) or min(self.tokens) < 1)

    @property
    def prunes_heads(self) -> bool:
        """Whether any layer drops heads."""
        return self.heads != 1 and (not isinstance(self.heads, tuple) or min(self.heads) < 1)

    @property
    def decides_nothing(self) -> bool:
        """Everything is kept, as it is: the forward pass is the model's own."""
        prunes = self.prunes_tokens or self.prunes_heads or self.values < 1 or self.channels < 1
        return not prunes and self.bits is None

    def decides_rows(self, passed: int) -> bool:
        """Row by row, something is decided on the scores: which values, or whether to fetch LSBs.

        `passed`: passes before this one since the prompt's.
        """
        prunes_values = self.values < 1 and passed >= self.values_from
        return prunes_values or (self.bits is not None and self.bits[1] > 0)

    @property
    def values_from(self) -> int:
        """The first pass whose rows prune V."""
        return 1 if self.values_in == "generation" else 0

    def counts(self, layers: int) -> Counts:
        """What a model of so many layers keeps. ValueError for steps that are not for so many."""
        return Counts(
            tokens=by_layer("tokens", self.tokens, layers, TOKEN_START),
            heads=by_layer("heads", self.heads, layers, HEAD_START),
            values=self.values,
            values_from=self.values_from,
            at_end=self.of == "end",
            spared=self.spared,
        )


@dataclass(frozen=True, kw_only=True)
class NmTraining:
    """N:M pruning of training steps, from the dense weights anew in each; see `accelsim.training`.

    `method`: bdwp, srste, sdgp or transposable. `decay`: factor of the term that shrinks weights which are
    pruned forward (SR-STE). `first`, `last`: whether the first and the last layer are pruned as well.
    """

    method: str
    n: int
    m: int
    decay: float = 0.0
    first: bool = False
    last: bool = False

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(unknown("method", self.method, METHODS))
        check_pattern(self.n, self.m)
        if not 0 <= self.decay < 1:
            raise ValueError(f"decay must be from 0 to below 1, not {self.decay:g}")
        if self.decay and self.method == "sdgp":
            raise ValueError("decay must be 0 with sdgp, which prunes no weights")

    @property
    def words(self) -> str:
        """The recipe's name and pattern, as a user writes them."""
        return f"{self.method},{self.n}:{self.m}"

    @property
    def prunes_forward(self) -> bool:
        """Whether the weights of the forward product are pruned."""
        return self.method != "sdgp"

    @property
    def skips_backward(self) -> bool:
        """Whether the backward product has N:M groups along its reduction."""
        return self.method != "srste"


Recipe = Magnitude | Composed | Fitted | Depth | Shallow | Precrop | Spatten | NmTraining


def known() -> dict[str, str]:
    """The words of recipes, each with what it is, one sentence and its source."""
    said = {
        word.said if isinstance(word, Pattern) else name: word.line for name, word in COMPOSED_WORDS.items()
    }
    return {**said, **{name: f"recipe: {sentence} ({SOURCES[name]})" for name, sentence in SENTENCES.items()}}


def parse(recipe: str) -> Recipe:
    """The recipe that the words say; ValueError names a word that is not understood."""
    name, *words = (word.strip() for word in recipe.split(","))
    if not name:
        raise ValueError(f"a recipe must be words such as magnitude,2:4, not {recipe!r}")
    if name == "spatten":
        return _spatten(recipe, words)
    if name == "depth":
        return _placed(recipe, lambda: parse_depth(words))
    if name == "precrop":
        return _placed(recipe, lambda: parse_precrop(words))
    if name == "think":
        return _think(recipe, words)
    if name in METHODS:
        return _nm_training(recipe, name, words)
    if name == "magnitude" and words[1:] == ["pairs"]:
        return _pairs(recipe, words[0])
    if name in SCORES:
        return plainest(_placed(recipe, lambda: parse_composed(recipe)))
    first = [*SCORES, *SENTENCES, "transposable"]
    if name in COMPOSED_WORDS:
        kind = COMPOSED_WORDS[name].kind
        article = "an" if kind == "allocation" else "a"
        raise ValueError(
            f"recipe {recipe!r} must begin with a score, such as wanda,{recipe}: {name!r} is {article} {kind}"
        )
    raise ValueError(unknown("recipe", name, first))


def plainest(recipe: Composed) -> Magnitude | Composed:
    """Magnitude alone, with nothing else said, needs no calibration."""
    if str(recipe) == f"magnitude,{recipe.amount}":
        return Magnitude(n=recipe.n, m=recipe.m, keep=recipe.keep)
    return recipe


def parse_all(recipes: str | Recipe | Sequence[str | Recipe] | None) -> tuple[Recipe, ...]:
    """Any number of recipes, in words or parsed already, in the order given; at most one of a kind."""
    several = [recipes] if isinstance(recipes, (str, Recipe)) else recipes or ()
    parsed = tuple(parse(recipe) if isinstance(recipe, str) else recipe for recipe in several)
    said: dict[str, str | Recipe] = {}
    for given, recipe in zip(several, parsed, strict=True):
        kind = _kind(recipe)
        if kind in said:
            first, second = (
                each if isinstance(each, str) else first_word(each) for each in (said[kind], given)
            )
            raise ValueError(f"one recipe at most may be for {kind}, not both {first!r} and {second!r}")
        said[kind] = given
    return parsed


def first_word(recipe: Recipe) -> str:
    """The word that a recipe begins with."""
    if isinstance(recipe, (Composed, Fitted, Depth, Shallow, Precrop)):
        return str(recipe).partition(",")[0]
    return recipe.method if isinstance(recipe, NmTraining) else type(recipe).__name__.lower()


def _kind(recipe: Recipe) -> str:
    """What it acts on, which one recipe may."""
    if isinstance(recipe, (Magnitude, Composed, Fitted)):
        return "weights"
    if isinstance(recipe, (Depth, Shallow)):
        return "whole blocks"
    return "training" if isinstance(recipe, (NmTraining, Precrop)) else "attention"


def _pairs(recipe: str, amount: str) -> Magnitude:
    """N:M in aligned pairs, which share a byte of int4."""
    n, colon, m = amount.partition(":")
    if not colon:
        raise ValueError(f"recipe {recipe!r} must say magnitude,N:M,pairs")
    return _placed(recipe, lambda: Magnitude(n=parse_whole("N", n), m=parse_whole("M", m), pairs=True))


def _spatten(recipe: str, words: list[str]) -> Spatten:
    said: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if name not in Spatten.__dataclass_fields__:
            raise ValueError(unknown(f"recipe {recipe!r}: word", name, Spatten.__dataclass_fields__))
        if not equals or name in said:
            raise ValueError(f"recipe {recipe!r}: {name} must be given once, as {name}=VALUE")
        said[name] = value
    if not said:
        raise ValueError(f"recipe {recipe!r} must say what is kept, such as spatten,tokens=0.5")
    if said.get("schedule", LINEAR) == LINEAR:
        said.pop("schedule", None)
    elif said["schedule"] not in PUBLISHED:
        raise ValueError(unknown(f"recipe {recipe!r}: schedule", said["schedule"], [LINEAR, *PUBLISHED]))
    else:
        said = {**PUBLISHED[said["schedule"]].words, **said}
    settings = {name: _placed(recipe, partial(_setting, name, value)) for name, value in said.items()}
    return _placed(recipe, lambda: Spatten(**settings))


def _think(recipe: str, words: list[str]) -> Spatten:
    if len(words) != 1:
        raise ValueError(f"recipe {recipe!r} must say think,FRACTION")
    return _placed(recipe, lambda: Spatten(channels=parse_fraction("think", words[0])))


def _nm_training(recipe: str, method: str, words: list[str]) -> NmTraining:
    if not words or ":" not in words[0]:
        raise ValueError(f"recipe {recipe!r} must say {method},N:M")
    n, _, m = words[0].partition(":")
    settings: dict[str, Any] = {"decay": DEFAULT_DECAY.get(method, 0.0)}
    given: set[str] = set()
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if name not in ("decay", "first", "last"):
            raise ValueError(unknown(f"recipe {recipe!r}: word", name, ("decay", "first", "last")))
        if not equals or name in given:
            raise ValueError(f"recipe {recipe!r}: {name} must be given once, as {name}=VALUE")
        given.add(name)
        settings[name] = _placed(recipe, partial(_decay if name == "decay" else _flag, name, value))
    return _placed(
        recipe, lambda: NmTraining(method=method, n=parse_whole("N", n), m=parse_whole("M", m), **settings)
    )


def _decay(name: str, word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"{name} must be a number, not {word!r}") from None


def _flag(name: str, word: str) -> bool:
    if word not in ("0", "1"):
        raise ValueError(f"{name} must be 0 or 1, not {word!r}")
    return word == "1"


def _setting(name: str, word: str) -> Any:
    if name == "bits":
        return _bits(word)
    if name in ("recent", "value_bits", "spared"):
        return parse_whole(name, word)
    if name in ("tokens", "heads") and ("/" in word or "*" in word):
        return parse_steps(name, word)
    return word if name == "schedule" or name in WORDS else parse_fraction(name, word)


def _bits(word: str) -> tuple[int, int]:
    msb, _, lsb = word.partition("+")
    return parse_whole("MSB", msb), parse_whole("LSB", lsb or "0")


def _placed(recipe: str, make: Callable[[], Made]) -> Made:
    """Add the recipe to what `make` complains about."""
    try:
        return make()
    except ValueError as error:
        raise ValueError(f"recipe {recipe!r}: {error}") from None
