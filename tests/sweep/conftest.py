"""Small sweeps: gemms that take milliseconds, in files of their own."""

from collections.abc import Callable
from pathlib import Path

import pytest

Written = Callable[[str], Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Puts a text into a sweep file."""

    def write(text: str) -> Path:
        file = tmp_path / "space.yaml"
        file.write_text(text)
        return file

    return write
