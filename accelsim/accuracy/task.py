"""What every way of measuring accuracy has in common: outputs of a module, and a judgement of two of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import nn

from accelsim.models.inputs import tokenizer
from accelsim.models.loading import Model
from accelsim.report import Accuracy


class AccuracyError(ValueError):
    """The accuracy of this model cannot be measured, and why, in one line."""


Advance = Callable[[int], None]
"""Told how many more samples are done."""


class Task(Protocol):
    """Samples that a model is run on, and what its answers are worth."""

    @property
    def work(self) -> int:
        """How many samples one pass over the module takes."""

    def outputs(self, module: nn.Module, advance: Advance) -> Any:
        """What the module says to every sample."""

    def judged(self, dense: Any, pruned: Any) -> Accuracy:
        """The figures, from the outputs of the dense and of the pruned module."""


def tokenizer_of(model: Model) -> Any:
    """The tokenizer beside a model's weights; AccuracyError, in one line, if there is none that loads."""
    if model.folder is None:
        raise AccuracyError(f"accuracy needs a tokenizer, and {model.name!r} has none")
    try:
        return tokenizer(model.folder)
    except Exception as error:  # a folder from a stranger can fail in any way
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise AccuracyError(
            f"accuracy needs a tokenizer, and that of {model.name!r} fails: {said}"
        ) from error
