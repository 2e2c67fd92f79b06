"""Code that comes with a user's model, while it runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout


@contextmanager
def foreign_code(model: str) -> Iterator[None]:
    """What it prints is no result and goes to stderr; it cannot end the program. ValueError if it tries."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except SystemExit as error:
        raise ValueError(f"model {model!r} must return, not exit with status {error.code}") from None
