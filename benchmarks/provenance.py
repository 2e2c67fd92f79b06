"""What a result was made with: the same three entries in every file of `results/`."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import accelsim


def provenance(date: str | None, *packages: str) -> dict[str, Any]:
    """Date, system and versions: of accelsim and of `packages`, installed distributions by name."""
    return {
        "date": date,
        "machine": {"system": platform.system(), "python": platform.python_version()},
        "versions": {"accelsim": accelsim.__version__} | {name: version(name) for name in packages},
    }
