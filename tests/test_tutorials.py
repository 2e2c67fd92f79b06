"""The pages that a reader types along with: their commands run, print what the page shows, and write files.

In a block without a language a line behind `$ ` is a command, what follows is what it prints, and `...`
stands for lines left out. What `$ cat FILE` shows is written to that file first: a reader copies it. All
commands of a page run in one folder, in order.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from accelsim.cli import main

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = ("reports.md", "tutorial_compress.md", "tutorial_architect.md", "tutorial_hardware.md")
TORCH, RTL = {"minilm", "train", "trace", "mine.py"}, {"verify", "verilog", "synth", "units"}
MODEL_ARITHMETIC = ("spatten", "--evaluate", "train")
"""The last bits of a model's numbers differ among processors, and with them what is decided or measured."""
NUMBER = r"(?<![\w.])\d[\d,]*\.?\d*"  # not the 2 of e2e

Step = tuple[str, list[str]]


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a page in that language. All are looked at: one that ends is none that begins."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    return [block for named, block in found if named == language]


def steps(text: str) -> list[Step]:
    """The commands of a page, each with the lines that it shows of what it prints."""
    found = []
    for block in blocks(text, ""):
        parts = re.split(r"^\$ (.*)\n", block, flags=re.M)
        found += list(zip(parts[1::2], (shown.splitlines() for shown in parts[2::2]), strict=True))
    return found


def alike(line: str, other: str, apart: float) -> bool:
    """Whether all words are equal, and all numbers, or these no more `apart` than that share."""
    if line == other or not apart:
        return line == other
    words = [re.sub(r"\s+", " ", re.sub(NUMBER, "#", each)) for each in (line, other)]
    pairs = zip(*(re.findall(NUMBER, each) for each in (line, other)), strict=False)
    values = [[float(each.replace(",", "")) for each in pair] for pair in pairs]
    return words[0] == words[1] and all(abs(a - b) <= apart * abs(a) for a, b in values)


def missing(shown: list[str], printed: list[str], apart: float) -> list[str]:
    """Lines that the page shows and the command did not print, in the page's order."""
    left, wrong = [line.rstrip() for line in printed], []
    for line in (line for line in shown if line != "..."):
        at = next((index for index, one in enumerate(left) if alike(line, one, apart)), None)
        if at is None:
            wrong.append(line)
        else:
            del left[: at + 1]
    return wrong


def typed(command: str, folder: Path, taken: Callable[[], str]) -> list[str]:
    """What a command prints that succeeds. Those of accelsim run here, where what they need is imported."""
    if command.startswith("accelsim "):
        assert main(shlex.split(command)[1:]) == 0, command
        return taken().splitlines()
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(folder)}
    done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def cases() -> list[object]:
    found = []
    for page in PAGES:
        commands = " ".join(command for command, _ in steps((DOCS / page).read_text()))
        words = set(re.findall(r"[\w.]+", commands))
        marks = [pytest.mark.torch] if TORCH & words else []
        marks += [pytest.mark.rtl] if RTL & words else []
        found.append(pytest.param(page, id=page, marks=[*marks, pytest.mark.slow]))  # without compilation
    return found


@pytest.mark.parametrize("page", cases())
def test_the_commands_of_a_page_print_what_it_shows(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    text = (DOCS / page).read_text()
    for command, shown in steps(text):
        if command.startswith("cat "):
            (tmp_path / command.removeprefix("cat ")).write_text("\n".join([*shown, ""]))
            continue
        apart = 0.1 if any(word in command for word in MODEL_ARITHMETIC) else 0.0
        printed = typed(command, tmp_path, lambda: capsys.readouterr().out)
        wrong = missing(shown, printed, apart)
        assert not wrong, "\n".join([command, *wrong, "", *printed])
        for name in re.findall(r"\S+\.(?:html|json)\b", command):
            assert (tmp_path / name).stat().st_size > 1000
    for code in blocks(text, "python"):
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        for name in re.findall(r'"(\S+\.(?:png|svg|html))"', code):
            assert (tmp_path / name).stat().st_size > 1000


def test_lines_are_alike_up_to_their_numbers() -> None:
    line = "minilm on spatten:e2e  dense 454 us -> 284 us  1.60x"
    assert alike(line, line.replace("284", "280"), 0.1)
    assert not alike(line, line.replace("284", "280"), 0.0)
    assert not alike(line, line.replace("284", "200"), 0.1)
    assert not alike(line, line.replace("e2e", "e3e"), 0.1)
    assert not alike(line, line.replace("us", "ms"), 0.1)


def test_a_line_that_is_not_printed_or_not_in_its_place_is_noticed() -> None:
    assert missing(["a", "...", "c"], ["a", "b", "c"], 0.0) == []
    assert missing(["a", "d"], ["a", "b", "c"], 0.0) == ["d"]
    assert missing(["c", "a"], ["a", "b", "c"], 0.0) == ["a"]


def test_pages_are_read_as_meant() -> None:
    assert steps(
        "```python\nx = 1\n```\n\n$ no\n\n```\n$ cat a.py\nx = 1\n$ accelsim units\na\n...\n```\n"
    ) == [
        ("cat a.py", ["x = 1"]),
        ("accelsim units", ["a", "..."]),
    ]
    for page in PAGES:
        assert len(steps((DOCS / page).read_text())) >= 4, page


def test_every_picture_of_the_pages_is_there_and_small() -> None:
    text = "".join((DOCS / page).read_text() for page in PAGES)
    names = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert names
    for name in names:
        assert 10_000 < (DOCS / name).stat().st_size < 200_000
