"""From a torch module to a `Workload`: `trace` runs it once and writes down every product it makes.

The package is itself callable: `accelsim.trace(module, inputs)` means the function, also after the
subpackage has been imported under the same name.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from accelsim.prune.recipes import Recipe
    from accelsim.workload import Workload

__all__ = ["trace"]


def trace(
    module: nn.Module,
    inputs: Any,
    prune: str | Recipe | Sequence[str | Recipe] | None = None,
    *,
    name: str | None = None,
    notes: Sequence[str] = (),
    generate: int | None = None,
    scores: bool = False,
) -> Workload:
    """The workload of one forward pass of `module` on `inputs`, pruned by the recipes in `prune` if any.

    `scores`: Q, K and the probabilities of attention are recorded, for machines that decide on them.
    With `generate`: of a pass over the prompt in `inputs`, and of so many tokens that follow one by one.

    `inputs`: a tensor, a tuple (positional) or a dict (keywords). The module is as before afterwards.
    Zeros that its weights already have count as pruned. `name` is the workload's model (default: the
    class), `notes` are passed on. ValueError for a recipe that is unknown or fits no layer.
    """
    from accelsim.extras import require

    require("trace", "torch")
    from accelsim.trace.tracing import trace_module

    return trace_module(module, inputs, prune, name=name, notes=notes, generate=generate, scores=scores)


class _CallablePackage(ModuleType):
    """Importing a subpackage binds it to its parent under its name, so the package stands in for `trace`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Workload:
        return trace(*args, **kwargs)


sys.modules[__name__].__class__ = _CallablePackage
