"""JSON text that is the same for the same values, and files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any, TextIO

_DRAFTS: set[Path] = set()
"""Begun, and neither put in place nor taken away."""


def as_json(values: Any) -> str:
    """Plain values as text with a newline at the end. Raises ValueError for NaN and infinity."""
    return json.dumps(values, indent=2, allow_nan=False, default=plain_number) + "\n"


def write_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file, whole or not at all: readers see the old file or the new one."""
    with whole_file(path) as file:
        file.write(text)


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """A text file to write into, which is there whole afterwards, or not at all if anything is raised.

    A link is followed. What is no regular file (a pipe, /dev/stdout) is written into, never replaced.
    """
    path = Path(path)
    if path.exists() and (not path.is_file() or path.is_relative_to("/dev")):
        with path.open("w", encoding="utf-8") as file:
            yield file
        return
    with _draft_of(Path(os.path.realpath(path))) as draft, draft.open("x", encoding="utf-8") as file:
        yield file


def replaced(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a draft beside `path`, and put it there whole, also if the power fails."""
    with _draft_of(path) as draft:
        write(draft)
        with draft.open("rb") as file:
            os.fsync(file.fileno())


@contextmanager
def _draft_of(path: Path) -> Iterator[Path]:
    """A name beside `path` for what takes its place; taken away if anything is raised."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    _DRAFTS.add(draft)
    try:
        yield draft
        # Some writers make private files; these have the rights that any new file has.
        umask = os.umask(0)
        os.umask(umask)
        draft.chmod(0o666 & ~umask)
        draft.replace(path)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()
        _DRAFTS.discard(draft)


def remove_drafts() -> None:
    """Take away the drafts of files that are being written: the process ends here and now."""
    for draft in list(_DRAFTS):
        with contextlib.suppress(OSError):
            draft.unlink()


def remove_left_drafts(paths: Iterable[Path]) -> None:
    """Take away drafts of `paths` that killed processes left; nobody may be writing them now."""
    for path in paths:
        for draft in path.parent.glob(f".{escape(path.name)}.*"):
            with contextlib.suppress(OSError):
                draft.unlink()


def plain_number(value: Any) -> Any:
    """The value of a numpy scalar, for `json`. TypeError for anything else."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"JSON holds plain values, not {type(value).__name__}")
