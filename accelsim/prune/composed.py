"""Recipes that are composed of words: a score, and what allocates, patterns and refines. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from accelsim.golden.formats import check_pattern
from accelsim.prune.allocations import ALLOCATIONS
from accelsim.prune.allocations.machine import levels
from accelsim.prune.courses import SCHEDULES
from accelsim.prune.patterns import PATTERNS
from accelsim.prune.patterns.base import Amount, Pattern
from accelsim.prune.refinements import REFINEMENTS
from accelsim.prune.schedules import check_fraction, parse_fraction, parse_whole
from accelsim.prune.scores import SCORES
from accelsim.prune.word import (
    CALIBRATION,
    STATISTICS,
    Allocation,
    Refinement,
    Score,
    Setting,
    Settings,
    Word,
)
from accelsim.words import unknown

WORDS: dict[str, Word] = {**SCORES, **ALLOCATIONS, **PATTERNS, **REFINEMENTS, **SCHEDULES}

NOT_TRAINED = ("bias", "bits", "armor")
"""Refinements that leave more than a mask and weights to go on from."""

PER = ("row", "layer")
"""Among which weights a fraction may be taken."""


@dataclass(frozen=True, kw_only=True)
class Composed:
    """Pruning of weights in words; one-shot, or with a `schedule` while a network trains.

    `n`, `m` or `keep` says how much stays; `settings` are those given, by name. ValueError for words that do
    not go together.
    """

    score: str
    n: int = 0
    m: int = 0
    keep: float = 0.0
    allocation: str = "uniform"
    pattern: str = ""
    refinements: tuple[str, ...] = ()
    schedule: str = ""
    settings: tuple[tuple[str, Setting], ...] = field(default=())

    def __post_init__(self) -> None:
        each: tuple[tuple[str, Mapping[str, Word], str], ...] = (
            (self.score, SCORES, "score"),
            (self.allocation, ALLOCATIONS, "allocation"),
            (self.pattern or "nm", PATTERNS, "pattern"),
            *((name, REFINEMENTS, "refinement") for name in self.refinements),
            (self.schedule or "oneshot", SCHEDULES, "schedule"),
        )
        for name, known, what in each:
            if name not in known:
                raise ValueError(unknown(what, name, known))
        self._check_amount()
        self._check_together()
        allowed = self._settings_of_words()
        for name, _ in self.settings:
            if name not in allowed:
                raise ValueError(unknown("setting", name, allowed))
        for word in self._said_words:
            if word.check is not None:
                word.check(self.set(word))
        if SCORES[self.score].per == "block" and dict(self.settings).get("per") == "layer":
            raise ValueError(
                f"{self.score} compares in one block of columns after the other: "
                "per must be row or left out, not layer"
            )

    def _check_amount(self) -> None:
        if ALLOCATIONS[self.allocation].sets_amounts:
            if self.m or self.keep:
                raise ValueError(f"{self.allocation} says how much stays by itself: leave {self.amount} out")
            return
        if (self.m > 0) == (self.keep > 0):
            raise ValueError(
                f"how much stays must be said once, as in {self.score},N:M or {self.score},FRACTION"
            )
        if self.m:
            check_pattern(self.n, self.m)
        else:
            check_fraction(self.score, self.keep)

    def _check_together(self) -> None:
        score, pattern = SCORES[self.score], self.shape.name
        if ALLOCATIONS[self.allocation].sets_amounts:
            if pattern != "nm":
                raise ValueError(f"{self.allocation} chooses among N:M, and {pattern} is another pattern")
        elif self.m and pattern not in ("nm", "transposable"):
            raise ValueError(f"{pattern} must be told a fraction kept, such as 0.5, not {self.n}:{self.m}")
        elif not self.m and pattern in ("nm", "transposable"):
            raise ValueError(f"{pattern} must be told N:M, such as 2:8, not {self.keep:g}")
        if self.m and self.allocation != "uniform":
            raise ValueError(
                f"{self.allocation} must be told a fraction kept, such as 0.5: "
                f"{self.n}:{self.m} keeps the same of every layer"
            )
        if score.patterns and pattern not in score.patterns:
            said = " or ".join(PATTERNS[name].said for name in score.patterns)
            raise ValueError(f"{self.score} must have {said}, not {pattern}: try {score.instead}")
        for name in self.refinements:
            only = REFINEMENTS[name].only
            if only and pattern != only:
                raise ValueError(
                    f"{name} must be told N:M, such as {self.score},2:4,{name}, not {self.keep:g}"
                )
        if len(set(self.refinements)) < len(self.refinements):
            raise ValueError(f"a refinement must be said once, not {', '.join(self.refinements)}")
        self._check_order()
        if self.schedule:
            self._check_schedule()
        if "armor" in self.refinements[:-1]:
            raise ValueError(f"armor must be the last refinement: leave {self.refinements[-1]} out")

    def _check_schedule(self) -> None:
        if self.schedule != "oneshot" and not self.keep:
            raise ValueError(
                f"{self.schedule} must be told a fraction kept, such as {self.score},0.5,{self.schedule}"
            )
        for name in self.refinements:
            if name in NOT_TRAINED:
                raise ValueError(f"{self.schedule} trains what a cut leaves: leave {name} out")

    def _check_order(self) -> None:
        """Nothing that a word makes of the weights may be lost to one behind it."""
        restarting = [name for name in self.refinements if REFINEMENTS[name].restarts]
        if SCORES[self.score].sweep and restarting:
            raise ValueError(
                f"{self.score} updates weights by itself, which {restarting[0]} would undo: "
                f"leave {restarting[0]} out, or try obs"
            )
        lost = _lost(self.refinements)
        if lost is None:
            return
        ordered = tuple(name for name in REFINEMENTS if name in self.refinements)
        hint = f"leave {lost[0]} out" if _lost(ordered) else f"the order must be {','.join(ordered)}"
        raise ValueError(f"{lost[1]} starts from the dense weights, which undoes {lost[0]} before it: {hint}")

    @property
    def shape(self) -> Pattern:
        """The pattern's word."""
        is_nm = self.m or ALLOCATIONS[self.allocation].sets_amounts
        return PATTERNS[self.pattern or ("nm" if is_nm else "unstructured")]

    @property
    def cut(self) -> Composed:
        """The recipe of one cut, without its schedule."""
        if not self.schedule:
            return self
        own = SCHEDULES[self.schedule].settings
        return replace(
            self, schedule="", settings=tuple(each for each in self.settings if each[0] not in own)
        )

    @property
    def _said_words(self) -> tuple[Word, ...]:
        return (*self.words, *([SCHEDULES[self.schedule]] if self.schedule else []))

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of one cut, in the order in which they act."""
        return (
            ALLOCATIONS[self.allocation],
            SCORES[self.score],
            self.shape,
            *(REFINEMENTS[name] for name in self.refinements),
        )

    @property
    def needs(self) -> frozenset[str]:
        """What has to be known of inputs and gradients."""
        return frozenset().union(*(word.needs for word in self.words))

    @property
    def statistics(self) -> frozenset[str]:
        """Of these, what concerns the inputs of layers."""
        return self.needs & STATISTICS

    @property
    def needs_samples(self) -> bool:
        """Whether calibration inputs are needed."""
        return bool(self.needs)

    @property
    def weight_bits(self) -> int:
        """To how many bits the survivors are rounded; 0: they are not."""
        return int(self.set(REFINEMENTS["bits"])["bits"]) if "bits" in self.refinements else 0

    def set(self, word: Word) -> Settings:
        """A word's settings, and those of calibration: as given, else the defaults."""
        given = dict(self.settings)
        return {name: given.get(name, value) for name, value in {**CALIBRATION, **word.settings}.items()}

    def shaping(self, module: Any = None) -> Settings:
        """The pattern's settings, with those that a module tells."""
        return {**self.set(self.shape), **self.shape.derived(module)}

    def scoring(self, module: Any = None) -> Settings:
        """The score's settings, and how many columns the pattern puts `together`."""
        return {**self.set(SCORES[self.score]), "together": self.shape.together(self.shaping(module))}

    @property
    def calibration(self) -> Mapping[str, Setting]:
        """How many samples, and how long."""
        return {name: dict(self.settings).get(name, value) for name, value in CALIBRATION.items()}

    @property
    def general_samples(self) -> int:
        """How many of the samples, the first, are not of the domain that a score is for; 0 of the others."""
        return int(self.set(SCORES[self.score]).get("general", 0))

    @property
    def amount(self) -> Amount:
        """How much stays, by the pattern; where the allocation says it, all of its groups."""
        if ALLOCATIONS[self.allocation].sets_amounts:
            return self.amounts[-1]
        per = str(dict(self.settings).get("per", SCORES[self.score].per))
        return Amount(n=self.n, m=self.m, keep=self.keep, per=per)

    @property
    def amounts(self) -> list[Amount]:
        """All that a layer may get, if the allocation chooses among amounts; else the recipe's."""
        allocation = ALLOCATIONS[self.allocation]
        if allocation.sets_amounts:
            return levels(str(self.set(allocation)["levels"]))
        return [self.amount]

    def __str__(self) -> str:
        amount = [] if ALLOCATIONS[self.allocation].sets_amounts else [str(self.amount)]
        allocation = [] if self.allocation == "uniform" else [self.allocation]
        pattern = [self.pattern] if self.pattern else []
        settings = [f"{name}={_written(value)}" for name, value in self.settings]
        # A refinement that is said by its setting (bits=4) keeps its place among the others.
        named = dict(zip(dict(self.settings), settings, strict=True))
        refinements = [named.pop(name, name) for name in self.refinements]
        schedule = [self.schedule] if self.schedule else []
        words = [self.score, *allocation, *amount, *pattern, *refinements, *schedule]
        return ",".join([*words, *named.values()])

    def _settings_of_words(self) -> dict[str, Setting]:
        allowed: dict[str, Setting] = {}
        for word in self._said_words:
            allowed.update(word.settings)
        if self.shape.name == "unstructured":
            allowed["per"] = ""
        return {**allowed, **(CALIBRATION if self.needs else {})}


def parse_composed(recipe: str) -> Composed:
    """The recipe that the words say; ValueError, in one line with a hint, for words that say none."""
    score, *words = (word.strip() for word in recipe.split(","))
    said: dict[str, str | float | int] = {"score": score}
    refinements: list[str] = []
    settings: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if name == "bits" and equals and name not in refinements:
            refinements.append(name)
        if equals:
            if name in settings:
                raise ValueError(f"{name} must be given once, as {name}=VALUE")
            settings[name] = value
        elif word in REFINEMENTS:
            refinements.append(word)
        else:
            for field_name, found in _said(word):
                if field_name in said:
                    raise ValueError(f"there must be one {field_name}, not {said[field_name]} and {found}")
                said[field_name] = found
    if said.get("n") == 0 or said.get("m") == 0:
        check_pattern(int(said["n"]), int(said["m"]))
    made = Composed(refinements=tuple(refinements), **said)  # type: ignore[arg-type]
    typed = tuple((name, _typed(made, name, value)) for name, value in settings.items())
    made = Composed(refinements=tuple(refinements), settings=typed, **said)  # type: ignore[arg-type]
    for refinement in (REFINEMENTS[name] for name in made.refinements):
        if refinement.fits is not None:
            for amount in made.amounts:
                refinement.fits(amount, made.set(refinement))
    return made


def _lost(refinements: Sequence[str]) -> tuple[str, str] | None:
    """A refinement whose work on the weights is lost, and the later one to which."""
    for place, name in enumerate(refinements):
        if REFINEMENTS[name].restarts:
            for before in refinements[:place]:
                if not REFINEMENTS[before].changes_mask:
                    return before, name
    return None


def _said(word: str) -> Iterator[tuple[str, str | float | int]]:
    """What a word without = says of which field."""
    if word in WORDS:
        yield WORDS[word].kind, word
    elif ":" in word:
        n, _, m = word.partition(":")
        yield "n", parse_whole("N", n)
        yield "m", parse_whole("M", m)
    elif re.fullmatch(r"[-+.\d].*|nan|inf", word):
        yield "keep", parse_fraction("a fraction kept", word)
    else:
        raise ValueError(unknown("word", word, [*WORDS, "N:M", "FRACTION"]))


def _typed(recipe: Composed, name: str, value: str) -> Setting:
    """A setting in the type of its default."""
    allowed = recipe._settings_of_words()
    if name not in allowed:
        raise ValueError(unknown("setting", name, allowed))
    if name == "per":
        if value not in PER:
            raise ValueError(unknown("per", value, PER))
        return value
    default = allowed[name]
    if isinstance(default, str):
        return value
    try:
        found = float(value)
    except ValueError:
        raise ValueError(f"{name} must be a number, not {value!r}") from None
    if not 0 <= found < 1e9:
        raise ValueError(f"{name} must be from 0 to below 1e9, not {value}")
    if isinstance(default, int) and (found != int(found)):
        raise ValueError(f"{name} must be a whole number, not {value}")
    if isinstance(default, int) and name != "seed" and found < 1:
        raise ValueError(f"{name} must be at least 1, not {value}")
    return int(found) if isinstance(default, int) else found


def _written(value: Setting) -> str:
    return value if isinstance(value, str) else f"{value:g}"


__all__ = ["WORDS", "Allocation", "Composed", "Refinement", "Score", "parse_composed"]
