"""The notebook runs in a kernel of its own, and gives the outputs that stand in it.

`python tests/test_notebook.py` runs it and writes the outputs into it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "examples" / "first_report.ipynb"
TIMEOUT_S = 300
# In a process of its own: what a kernel's client warns of is not ours.
EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
settings = {"timeout": int(sys.argv[2]), "record_timing": False, "coalesce_streams": True}
NotebookClient(notebook, kernel_name="python3", **settings).execute()
notebook.metadata.language_info = {"name": "python"}
print(nbformat.writes(notebook, indent=1))
"""


def executed(notebook: Path) -> dict[str, Any]:
    """The notebook with the outputs that it gives here; fails with what a cell raised."""
    command = [sys.executable, "-c", EXECUTE, str(notebook), str(TIMEOUT_S)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def shown(notebook: dict[str, Any]) -> list[dict[str, str]]:
    """What a reader sees below each cell of code, by kind."""
    cells = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            kinds: dict[str, str] = {}
            for output in cell["outputs"]:
                named = output.get("data") or {output["output_type"]: output.get("text", "")}
                kinds |= {kind: "".join(text) for kind, text in named.items()}
            cells.append(kinds)
    return cells


@pytest.mark.slow  # without compilation
def test_the_notebook_gives_the_outputs_that_stand_in_it(tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    kept = json.loads(NOTEBOOK.read_text())
    assert shown(executed(NOTEBOOK)) == shown(kept)


def test_its_report_shows_itself_as_a_table() -> None:
    cells = shown(json.loads(NOTEBOOK.read_text()))
    (report,) = [seen for seen in cells if "text/html" in seen]
    assert report["text/html"].count("<tr>") == 3  # the head, and two layers
    assert report["text/plain"].startswith("two products on sat:paper  dense ")
    assert not [seen for seen in cells if "error" in seen]


@pytest.mark.slow  # two kernels are started
def test_a_cell_that_fails_or_prints_something_else_is_noticed(tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = json.loads(NOTEBOOK.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"][:1]
    for source, fails in (("print('another')", False), ("1 / 0", True)):
        code[0]["source"] = source
        (tmp_path / "a.ipynb").write_text(json.dumps({**notebook, "cells": code}))
        if fails:
            with pytest.raises(AssertionError, match="ZeroDivisionError"):
                executed(tmp_path / "a.ipynb")
        else:
            assert shown(executed(tmp_path / "a.ipynb")) != shown({"cells": code})


if __name__ == "__main__":
    NOTEBOOK.write_text(json.dumps(executed(NOTEBOOK), indent=1, ensure_ascii=False) + "\n")
