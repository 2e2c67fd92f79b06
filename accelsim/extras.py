"""Optional packages: one kind line instead of a traceback when an extra is not installed."""

from __future__ import annotations

import os
from importlib.util import find_spec


class MissingExtraError(ValueError):
    """A package that belongs to an extra is not installed."""


def require(caller: str, *packages: str, extra: str = "torch") -> None:
    """Raise MissingExtraError, naming the extra, if one of `packages` cannot be found."""
    for package in packages:
        if find_spec(package) is None:
            raise MissingExtraError(f"{caller} needs {package}: pip install 'accelsim[{extra}]'")
    if "torch" in packages:
        # Read when torch loads. Its threads otherwise spin while they wait, and a forward pass of MiniLM
        # takes over ten times as long on a busy machine.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
