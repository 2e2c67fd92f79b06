"""What a result was made with: the same three entries in every file of `results/`."""

from __future__ import annotations

import datetime
import platform
from importlib.metadata import version
from typing import Any

import accelsim


def provenance(date: str | None, *packages: str) -> dict[str, Any]:
    """Date (without one, today), system and versions: of accelsim and of `packages`, by their name."""
    return {
        "date": date or datetime.date.today().isoformat(),
        "machine": {"system": platform.system(), "python": platform.python_version()},
        "versions": {"accelsim": accelsim.__version__} | {name: version(name) for name in packages},
    }
