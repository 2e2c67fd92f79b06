"""Pruning recipes: words that say which weights, tokens, heads and values of a model are left out.

`known()` and `parse()` need nothing installed; `pruned()` acts on a torch module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from accelsim.extras import require
from accelsim.prune.composed import Composed
from accelsim.prune.depth import Depth
from accelsim.prune.fitted import Fitted
from accelsim.prune.precrop import Precrop
from accelsim.prune.recipes import Magnitude, NmTraining, Recipe, Spatten, known, parse, parse_all

if TYPE_CHECKING:
    from torch import nn

    from accelsim.prune.applying import Applied

__all__ = [
    "Composed",
    "Depth",
    "Fitted",
    "Magnitude",
    "NmTraining",
    "Precrop",
    "Recipe",
    "Spatten",
    "fitted",
    "known",
    "parse",
    "parse_all",
    "pruned",
]


def pruned(
    module: nn.Module,
    recipes: str | Recipe | Sequence[str | Recipe],
    *,
    decided: Callable[[Callable[[], Any]], Any] | None = None,
    heads_per_sample: bool = False,
    samples: Sequence[Any] = (),
) -> AbstractContextManager[Applied]:
    """Apply recipes to `module` for the length of a `with`; see `accelsim.prune.applying.pruned`."""
    require("pruning", "torch")
    from accelsim.prune import applying

    return applying.pruned(
        module, recipes, decided=decided, heads_per_sample=heads_per_sample, samples=samples
    )


def fitted(
    module: nn.Module,
    recipes: str | Recipe | Sequence[str | Recipe] | None,
    samples: Sequence[Any],
    told: Callable[[str, int, int], None] | None = None,
) -> tuple[Recipe, ...]:
    """Calibrate recipes on `samples`, once for all; see `accelsim.prune.applying.fitted`."""
    require("pruning", "torch")
    from accelsim.prune import applying

    return applying.fitted(module, recipes, samples, told)
