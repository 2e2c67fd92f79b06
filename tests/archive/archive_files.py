"""Archives that are good, or nearly so, and what is said of them."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim import archive

HEADER = {"kind": "thing", "version": 1, "note": "é\ud800"}


class Touch:
    """Unpickling this makes a file: the proof that something was executed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def refusal(path: Path) -> str:
    """What `read` says about a file after its name."""
    with pytest.raises(archive.ArchiveError) as caught:
        archive.read(path, "thing", 1)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert caught.value.__cause__ is None
    assert len(message) < len(str(path)) + 300
    return message.removeprefix(f"{path}: ")


def good(path: Path, **extra: Any) -> Path:
    archive.write(path, HEADER, {"a": np.arange(6, dtype=np.int32).reshape(2, 3), **extra})
    return path


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def build(path: Path, content: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as made:
        for name, raw in content.items():
            made.writestr(name, raw)
    return path


def with_document(path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A good file whose header.json was changed, in canonical form."""
    content = members(good(path))
    document = json.loads(content["header.json"])
    document = change(document) or document
    raw = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    return build(path, {**content, "header.json": raw})
