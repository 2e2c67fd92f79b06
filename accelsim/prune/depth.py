"""Whole blocks of a network leave, the recipe in words. Needs no torch; see `accelsim.prune.skipping`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from accelsim.golden.attention import keep_count
from accelsim.prune.schedules import check_fraction, parse_fraction, parse_whole
from accelsim.words import unknown

RULES = ("position", "change", "grasp", "random")
"""How it is decided which blocks leave."""

PROTECT = 0.5
"""Of the blocks, the first, that `position` leaves alone unless told otherwise."""


@dataclass(frozen=True, kw_only=True)
class Depth:
    """Of the blocks that may leave (they give what they are fed, in shape) the fraction `keep` stays.

    `by`: position, the latest leave first; change, those whose absence changes the output least; grasp, those
    whose absence costs the flow of gradients least (GraSP); random, drawn from `seed`. The first `protect` of
    the blocks never leave.
    """

    keep: float
    by: str = "position"
    protect: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_fraction("depth", self.keep)
        if self.by not in RULES:
            raise ValueError(unknown("by", self.by, RULES))
        if not 0 <= self.protect < 1:
            raise ValueError(f"protect must be at least 0 and below 1, not {self.protect:g}")

    @property
    def needs_samples(self) -> bool:
        """A forward pass tells which blocks may leave."""
        return True

    @property
    def calibration(self) -> Mapping[str, int]:
        """How many samples, and how long."""
        return {"samples": 8 if self.by in ("change", "grasp") else 1, "length": 128}

    @property
    def general_samples(self) -> int:
        """None of them belongs to another domain."""
        return 0

    def candidates(self, blocks: int) -> range:
        """Places of the blocks that may leave. ValueError if too many are protected."""
        first = int(self.protect * blocks + 1e-9)
        if blocks - first < self.goes(blocks):
            raise ValueError(
                f"{self} takes {self.goes(blocks)} of {blocks} blocks, and protects the first {first}: "
                "keep more, or protect less"
            )
        return range(first, blocks)

    def goes(self, blocks: int) -> int:
        """How many leave; one stays at least."""
        return blocks - keep_count(blocks, self.keep)

    def __str__(self) -> str:
        seed = f",seed={self.seed}" if self.by == "random" else ""
        return f"depth,{self.keep:g},by={self.by},protect={self.protect:g}{seed}"


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block by its name, and whether it hands on its state in a tuple."""

    name: str
    gives_tuple: bool = False


@dataclass(frozen=True, kw_only=True)
class Shallow:
    """The recipe with what it decided for one module: the blocks that leave, in order."""

    recipe: Depth
    gone: tuple[Block, ...]

    def __str__(self) -> str:
        return str(self.recipe)


def parse_depth(words: list[str]) -> Depth:
    """From the words behind `depth`. ValueError for what is not understood."""
    if not words or "=" in words[0]:
        raise ValueError("how much stays must be said first, as in depth,0.75")
    said: dict[str, str] = {}
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if name not in ("by", "protect", "seed"):
            raise ValueError(unknown("word", name, ("by", "protect", "seed")))
        if not equals or name in said:
            raise ValueError(f"{name} must be given once, as {name}=VALUE")
        said[name] = value
    by = said.get("by", RULES[0])
    protect = PROTECT if by == "position" else 0.0
    if "protect" in said:
        protect = 0.0 if said["protect"] == "0" else parse_fraction("protect", said["protect"])
    return Depth(
        keep=parse_fraction("depth", words[0]),
        by=by,
        protect=protect,
        seed=parse_whole("seed", said.get("seed", "0")),
    )
