"""Models to look at: known ones by name, local folders, and the user's own factories. Needs torch to load.

`known()` names what can be had without a file; `load()` gives a module in eval mode with inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from accelsim.extras import MissingExtraError, require
from accelsim.models.registry import known

if TYPE_CHECKING:
    from accelsim.models.loading import Model

__all__ = ["MissingExtraError", "known", "load"]


def load(
    spec: str,
    *,
    seed: int = 0,
    tokens: int | None = None,
    input_shape: str | Sequence[int] | None = None,
    text: str | None = None,
    batch: int = 1,
) -> Model:
    """The model that `spec` names, with inputs; see `accelsim.models.loading.load`."""
    require("loading a model", "torch")
    from accelsim.models import loading

    return loading.load(spec, seed=seed, tokens=tokens, input_shape=input_shape, text=text, batch=batch)
