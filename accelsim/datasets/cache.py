"""Fetched files in the user's cache. Only content with the known hash goes in or comes out."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path


class DatasetError(ValueError):
    """Data cannot be had here, and why, in one line."""


def cache_folder() -> Path:
    """Where fetched files are kept: below XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "accelsim"


def kept(name: str, sha256: str) -> bytes | None:
    """The content of the file `name` of the cache; None if it is not there, or damaged."""
    try:
        content = (cache_folder() / name).read_bytes()
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == sha256 else None


def keep(name: str, content: bytes, sha256: str) -> bytes:
    """Put `content` into the cache, whole or not at all, and give it back. DatasetError for a wrong hash.

    Several processes may do so at once: each renames a file of its own, and all hold the same bytes.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DatasetError(f"{name} must have the SHA-256 {sha256}, not {found}")
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(temporary).replace(folder / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise DatasetError(f"{name} cannot be kept in {folder}: {error.strerror or error}") from error
    return content
