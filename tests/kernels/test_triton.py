"""Triton kernels against golden: in Triton's interpreter, or natively where there is a GPU.

Whether kernels are interpreted is settled when Triton is first imported, which torch may do by itself, so
that `triton_cases` run in a process of their own.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the torch extra")
pytest.importorskip("triton", reason="needs the kernels extra")

import torch

pytestmark = pytest.mark.torch

CASES = Path(__file__).with_name("triton_cases.py")


def test_every_case_holds() -> None:
    interpret = {} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", CASES],
        capture_output=True,
        text=True,
        env={**os.environ, **interpret},
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
