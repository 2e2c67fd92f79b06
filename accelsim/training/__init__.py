"""Training with N:M pruning for real: masks of both directions, and steps as workloads. Needs torch.

`trace_step()` gives the workload of one training step of any module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from accelsim.extras import require

if TYPE_CHECKING:
    from torch import nn

    from accelsim.prune.recipes import Recipe
    from accelsim.workload import Workload

__all__ = ["trace_step"]


def trace_step(
    module: nn.Module,
    inputs: Any,
    prune: str | Recipe | Sequence[str | Recipe] | None = None,
    *,
    name: str | None = None,
    notes: Sequence[str] = (),
) -> Workload:
    """The workload of one training step; see `accelsim.training.step.trace_step`."""
    require("training", "torch")
    from accelsim.training import step

    return step.trace_step(module, inputs, prune, name=name, notes=notes)
