"""Optional packages: one kind line instead of a traceback when an extra is not installed."""

from __future__ import annotations

from importlib.util import find_spec


class MissingExtraError(ImportError):
    """A package that belongs to the extra `kernels` is not installed."""


def require(caller: str, *packages: str) -> None:
    """Raise MissingExtraError, naming the extra, if one of `packages` cannot be found."""
    for package in packages:
        if find_spec(package) is None:
            raise MissingExtraError(f"{caller} needs {package}: pip install 'accelsim[kernels]'")
