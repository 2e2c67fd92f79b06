"""One layer that is being cut: its weights before and now, what stays, and what is known of its inputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from accelsim.prune.patterns.base import Amount
from accelsim.prune.statistics import Seen


@dataclass(kw_only=True)
class Cut:
    """All tensors are (groups, rows, columns): outputs and inputs of each group of a convolution, or of one.

    `weight` is zero wherever `kept` is not. `bias`: (groups, rows), what the layer's bias gains.
    `factors`: dense blocks behind and before the sparse core, whose product stands for the weight.
    `is_linear`: the layer is a plain product with a matrix. `unrefined`: why a refinement does not fit it.
    """

    name: str
    dense: torch.Tensor
    weight: torch.Tensor
    kept: torch.Tensor
    seen: Seen
    amount: Amount
    bias: torch.Tensor | None = None
    factors: tuple[torch.Tensor, torch.Tensor] | None = None
    is_linear: bool = True
    unrefined: str = ""
