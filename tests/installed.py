"""Installs the wheel of this checkout elsewhere and runs its command there, far from the checkout.

    python tests/installed.py [lowest-direct] [highest] [here]

The first two, the default, are words of uv: an empty environment with the lowest versions that pyproject.toml
allows of what it names, and one with the newest of everything. They need uv and a package registry. `here`
takes the packages of this environment. A workload must give the JSON that it gives in the checkout, byte for
byte; else exit status 1, and a line that says where they differ.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORKLOAD = "workload.npz"
COMMANDS = (
    ("run", WORKLOAD, "--on", "sat", "--json", "-"),
    ("compare", WORKLOAD, "--on", "systolic,sat,stc,spatten:e2e", "--json", "-"),
)
UV = Path(sys.executable).with_name("uv")


def main(ways: list[str]) -> str | None:
    """The complaint for the shell, or None if the command works in every way that it is installed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build(folder)
        save_workload(folder / WORKLOAD)
        expected = printed([sys.executable, "-m", "accelsim"], os.environ, folder)
        for way in ways or ["lowest-direct", "highest"]:
            place = folder / way
            if way == "here":
                command, environment = beside(wheel, place)
            else:
                command, environment = alone(wheel, place, way)
            for words, one, other in zip(
                COMMANDS, printed([str(command)], environment, folder), expected, strict=True
            ):
                if one != other:
                    return f"{way}: the JSON of `accelsim {' '.join(words)}` is not that of the checkout"
            print(f"{way}: `run` and `compare` give the checkout's JSON", flush=True)
    return None


def build(folder: Path) -> Path:
    """A wheel of this checkout in `folder`."""
    words = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return next(folder.glob("*.whl"))


def save_workload(path: Path) -> None:
    """A 2:4 product, a dense one, and an attention with few values: something for each machine."""
    from accelsim import Workload
    from accelsim.synthetic import attention, gemm

    pruned, dense = gemm(16, 48, 64, pattern=(2, 4)).layers[0], gemm(16, 48, 64).layers[0]
    heads = attention(keys=24, values=12, queries=4, heads=2).layers
    layers = (replace(pruned, name="pruned"), replace(dense, name="dense"), *heads)
    Workload(model="two products and an attention", layers=layers, synthetic=True).save(path)


def alone(wheel: Path, place: Path, resolution: str) -> tuple[Path, Mapping[str, str]]:
    """The command in a new environment that holds the wheel and what it asks for, and nothing else."""
    python = place / "bin" / "python"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, place], check=True)
    install = [UV, "pip", "install", "--quiet", "--python", python, "--resolution", resolution]
    # Named once more: what only a wheel asks for is indirect to uv, and would be the newest.
    bounds = lower_bounds(wheel)
    subprocess.run([*install, wheel, *(f"{name}>={bound}" for name, bound in bounds.items())], check=True)
    listed = [UV, "pip", "list", "--quiet", "--format", "freeze", "--python", python]
    lines = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split()
    versions = dict(line.split("==") for line in lines)
    print(f"{resolution}: {' '.join(f'{name} {versions[name]}' for name in bounds)}", flush=True)
    for name, bound in bounds.items():
        is_lowest = f"{versions[name]}.".startswith(f"{bound}.")
        if is_lowest != (resolution == "lowest-direct"):
            sys.exit(f"{resolution}: {name} {versions[name]} is not what was asked for, of >={bound}")
    # PYTHONPATH may lead to the checkout, which would hide what the wheel lacks.
    return place / "bin" / "accelsim", {n: v for n, v in os.environ.items() if n != "PYTHONPATH"}


def lower_bounds(wheel: Path) -> dict[str, str]:
    """What the wheel asks for without an extra, each with its lower bound."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode()
    asked = re.findall(r"^Requires-Dist: (.*)$", text, re.M)
    return dict(line.split(">=") for line in asked if "extra ==" not in line)


def beside(wheel: Path, place: Path) -> tuple[Path, Mapping[str, str]]:
    """The command in a folder that is looked at before this environment's packages."""
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([*install, "--target", place, wheel], check=True)
    return place / "bin" / "accelsim", {**os.environ, "PYTHONPATH": str(place)}


def printed(command: list[str], environment: Mapping[str, str], folder: Path) -> list[str]:
    """What the command prints for each of `COMMANDS`. CalledProcessError if one fails."""
    return [
        subprocess.run(
            [*command, *words],
            cwd=folder,
            env=dict(environment),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
        for words in COMMANDS
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
