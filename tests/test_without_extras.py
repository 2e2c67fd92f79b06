"""`pip install accelsim` alone: shapes run, and what needs an extra says which one, in a line."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXTRAS = [
    "torch",
    "transformers",
    "safetensors",
    "amaranth",
    "cocotb",
    "distributed",
    "optuna",
    "matplotlib",
]

CODE = f"""
import contextlib, io, json, sys
for name in {EXTRAS}:
    sys.modules[name] = None
from accelsim.cli import main
found = {{}}
for words in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        found[words] = main(words.split()), said.getvalue()
print(json.dumps(found))
"""

RUNS = (
    "run bert-base --tokens 8 --on sat",
    "run resnet-18 --input 1x3x32x32 --prune magnitude,2:4 --on stc",
    "run bert-base --tokens 8 --prune spatten,tokens=0.5 --on spatten",
    "run resnet-18 --input 1x3x32x32 --on sat --train",
    "gemm 8 8 8 --on systolic:8",
    "models",
    "recipes",
)

REFUSED = {
    "run minilm --on sat": "needs torch: pip install 'accelsim[torch]'",
    "run minilm --prune wanda,2:4 --on sat": "needs torch: pip install 'accelsim[torch]'",
    "run minilm --prune magnitude,2:4 --on sat --evaluate": "needs torch: pip install 'accelsim[torch]'",
    "compare minilm --on sat,stc": "needs torch: pip install 'accelsim[torch]'",
    "trace minilm -o minilm.npz": "needs torch: pip install 'accelsim[torch]'",
    "train fashion -o run": "needs torch: pip install 'accelsim[torch]'",
    "run bert-bas --on sat": "did you mean 'bert-base'?",
    "run bert-base --prune wanda,2:4 --on sat": "needs weights",
    "units": "needs amaranth: pip install 'accelsim[rtl]'",
    "verify spatten.topk": "needs amaranth: pip install 'accelsim[rtl]'",
    "sweep space.yaml": "pip install 'accelsim[sweep]'",
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Exit status and standard error of each command."""
    folder = tmp_path_factory.mktemp("plain")
    Path(folder, "space.yaml").write_text("models: [bert-base]\nmachines: [{on: sat}]\n")
    run = subprocess.run(
        [sys.executable, "-c", CODE],
        input=json.dumps([*RUNS, *REFUSED]),
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("words", RUNS)
def test_what_needs_no_extra_runs(answers: dict[str, Any], words: str) -> None:
    status, said = answers[words]
    assert status == 0, said


@pytest.mark.parametrize("words", REFUSED)
def test_what_needs_one_says_so_in_a_line(answers: dict[str, Any], words: str) -> None:
    status, said = answers[words]
    assert status == 2
    line = said.rstrip("\n").splitlines()[-1]
    assert line.startswith("accelsim: ")
    assert REFUSED[words] in line
