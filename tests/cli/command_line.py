"""Commands as the tests type them, and what they answer."""

import json
from typing import Any

import pytest

from accelsim.cli import main

GEMM = ["gemm", "64", "64", "64", "--on", "systolic:8"]

ATTENTION = [
    "attention",
    "--on",
    "spatten:tiny",
    "--keys",
    "32",
    "--values",
    "8",
    "--dim",
    "32",
    "--heads",
    "2",
]

COMMANDS = ["run", "trace", "compare", "gemm", "attention", "models", "accelerators", "recipes"]

COMMANDS += ["verilog", "verify", "synth", "units"]


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Stdout of a command that succeeds without a word on stderr."""
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(printed(capsys, *arguments, "--json", "-"))


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a mistake is answered with."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("accelsim: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return err.removeprefix("accelsim: ").rstrip("\n")
