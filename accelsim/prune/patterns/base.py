"""What a pattern is: from scores to a mask of exactly so many weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accelsim.prune.word import Settings, Word

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much stays: N of every M, or the fraction `keep`, taken of each layer or of each row (`per`)."""

    n: int = 0
    m: int = 0
    keep: float = 0.0
    per: str = "layer"

    def __str__(self) -> str:
        return f"{self.n}:{self.m}" if self.m else f"{self.keep:g}"


@dataclass(frozen=True, kw_only=True)
class Pattern(Word):
    """`of(scores, amount, settings)`: (groups, rows, columns) to what is kept; the lowest index wins a tie.

    `said`: how it is written. `refuses(rows, columns, amount, settings)`: why a layer cannot have it.
    `where(name, columns, settings)`: the same, told from its name. `derived(module)`: settings that it says.
    `together(settings)`: so many consecutive columns go together.
    """

    said: str
    of: Callable[[torch.Tensor, Amount, Settings], torch.Tensor]
    refuses: Callable[[int, int, Amount, Settings], str] = lambda rows, columns, amount, settings: ""
    where: Callable[[str, int, Settings], str] = lambda name, columns, settings: ""
    derived: Callable[[Any], Settings] = lambda module: {}
    together: Callable[[Settings], int] = lambda settings: 1
