"""Models to look at: known ones by name, local folders, and the user's own factories. Needs torch to load.

`known()` names what can be had without a file; `load()` gives a module in eval mode with inputs. Of some
names only the shapes are known: `networks()` lists them, and `network()` gives their workloads without torch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from accelsim.extras import MissingExtraError, require
from accelsim.models import registry
from accelsim.models.networks import networks
from accelsim.models.networks import workload as network

if TYPE_CHECKING:
    from accelsim.models.loading import Model

__all__ = ["MissingExtraError", "known", "load", "network", "networks"]


def known() -> dict[str, str]:
    """Names of the models with weights and of the networks with shapes only, each with one sentence."""
    return registry.known() | networks()


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
    if spec in networks():
        raise ValueError(f"model {spec!r} has shapes only, and no weights to load")
    if re.fullmatch(r"[\w-]+", spec) and spec not in registry.known() and not Path(spec).exists():
        raise ValueError(registry.refusal(spec))
    require("loading a model", "torch")
    from accelsim.models import loading

    return loading.load(spec, seed=seed, tokens=tokens, input_shape=input_shape, text=text, batch=batch)
