"""A composed recipe with the weights that it left of one module: found once, applied as often as wanted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from accelsim.prune.composed import Composed

if TYPE_CHECKING:
    import torch


@dataclass(kw_only=True, eq=False)
class Fitted:
    """New weights by layer in their own shape, and the layers left dense with the reason.

    `bias`: what a layer's bias gains. `factors`: blocks behind and before a sparse core, which is the layer's
    weight then, (rows, columns) whatever the layer's own shape. `unrefined`: layers that are cut, but that a
    refinement does not fit, with the reason.
    """

    recipe: Composed
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    bias: dict[str, torch.Tensor] = field(default_factory=dict)
    factors: dict[str, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    left_dense: dict[str, str] = field(default_factory=dict)
    unrefined: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return str(self.recipe)
