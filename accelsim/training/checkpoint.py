"""Where a training run keeps its state: one file a run, replaced whole after each epoch.

Files are read with `weights_only`, so that they cannot run code; a damaged one is refused, never guessed at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from accelsim.files import replaced

KEYS = {"settings", "epoch", "module", "optimiser", "scaler", "skipped_last", "rows", "course"}


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, in one line that names it."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a run's state, whole or not at all."""
    replaced(path, lambda draft: torch.save(state, draft))


def load(path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """The state that `save` wrote for the same settings; None if there is none. CheckpointError otherwise."""
    if not path.exists():
        return None
    try:
        state = torch.load(path, weights_only=True)
    except Exception as error:  # a damaged file fails in any of many ways
        raise CheckpointError(
            f"{path} must be a whole checkpoint, and it is damaged ({type(error).__name__}): "
            "delete it to train from the beginning"
        ) from None
    if not isinstance(state, dict) or state.keys() != KEYS:
        raise CheckpointError(f"{path} must be a checkpoint of `accelsim train`")
    for key, value in settings.items():
        found = state["settings"].get(key) if isinstance(state["settings"], dict) else None
        if found != value:
            raise CheckpointError(f"{path} was made with {key} {found!r}, and {value!r} is asked for now")
    return state
